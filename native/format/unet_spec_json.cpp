// UNetSpec <-> JSON. One table of fields serves both directions, so that they cannot drift apart.
#include <array>
#include <cstdint>
#include <utility>

#include "native/base/error.h"
#include "native/base/fields.h"
#include "native/base/name_table.h"
#include "native/format/strict_json.h"
#include "native/format/unet_spec.h"

namespace asdm {
namespace {

constexpr std::string_view kUNetFormat = "asdm.unet";
constexpr int64_t kUNetVersion = 1;
constexpr const char* kRemoved = "removed";
constexpr const char* kMECondConv = "me_cond_conv";

std::string where(std::string_view key) { return "UNetSpec." + std::string(key); }

struct Writer {
  nlohmann::ordered_json& json;
  template <typename Value>
  void operator()(const char* key, const Value& value) const {
    json[key] = value;
  }
  void operator()(const char* key, Family value) const { json[key] = std::string(to_string(value)); }
  void operator()(const char* key, Prediction value) const { json[key] = std::string(to_string(value)); }
};

template <typename Enum, size_t kCount>
Enum read_enum(const nlohmann::json& json, const std::string& at, const std::array<Enum, kCount>& values) {
  std::vector<std::string> known;
  for (const Enum value : values) {
    known.emplace_back(to_string(value));
  }
  return values[read_name(json, at, known)];
}

struct Reader {
  const nlohmann::json& json;

  void operator()(const char* key, int64_t& value) const { value = read_integer(json.at(key), where(key)); }
  void operator()(const char* key, bool& value) const {
    if (!json.at(key).is_boolean()) {
      throw invalid_input(where(key), "true or false", describe_json(json.at(key)));
    }
    value = json.at(key).get<bool>();
  }
  void operator()(const char* key, std::vector<int64_t>& values) const {
    if (!json.at(key).is_array()) {
      throw invalid_input(where(key), "a list of integers", describe_json(json.at(key)));
    }
    values.clear();
    for (const nlohmann::json& item : json.at(key)) {
      values.push_back(read_integer(item, where(key) + "[" + std::to_string(values.size()) + "]"));
    }
  }
  void operator()(const char* key, Family& value) const { value = read_enum(json.at(key), where(key), kFamilies); }
  void operator()(const char* key, Prediction& value) const {
    value = read_enum(json.at(key), where(key), std::array{Prediction::kEpsilon, Prediction::kVelocity});
  }
};

std::vector<std::string> read_removed(const nlohmann::json& json) {
  if (!json.is_array()) {
    throw invalid_input(where(kRemoved), "a list of addresses", describe_json(json));
  }
  std::vector<std::string> addresses;
  for (const nlohmann::json& item : json) {
    addresses.push_back(read_string(item, where(kRemoved) + "[" + std::to_string(addresses.size()) + "]"));
  }
  return addresses;
}

nlohmann::ordered_json site_json(const MECondConvSite& site) {
  nlohmann::ordered_json json;
  json["site"] = site.site;
  json["experts"] = site.routing.experts;
  json["routing"] = name_of(kRoutingForms, site.routing.form);
  json["source"] = name_of(kRoutingSources, site.routing.source);
  json["temperature"] = site.routing.temperature;
  return json;
}

MECondConvSite read_site(const nlohmann::json& json, const std::string& at) {
  check_keys(json, at, {"site", "experts", "routing", "source", "temperature"});
  MECondConvSite site;
  site.site = read_string(json.at("site"), at + ".site");
  site.routing.experts = read_integer(json.at("experts"), at + ".experts");
  site.routing.form = value_named(kRoutingForms, at + ".routing", read_string(json.at("routing"), at + ".routing"));
  site.routing.source = value_named(kRoutingSources, at + ".source", read_string(json.at("source"), at + ".source"));
  if (!json.at("temperature").is_number()) {
    throw invalid_input(at + ".temperature", "a number", describe_json(json.at("temperature")));
  }
  site.routing.temperature = json.at("temperature").get<double>();
  return site;
}

std::vector<MECondConvSite> read_sites(const nlohmann::json& json) {
  if (!json.is_array()) {
    throw invalid_input(where(kMECondConv), "a list of objects", describe_json(json));
  }
  std::vector<MECondConvSite> sites;
  for (const nlohmann::json& item : json) {
    sites.push_back(read_site(item, where(kMECondConv) + "[" + std::to_string(sites.size()) + "]"));
  }
  return sites;
}

/// All keys but kRemoved and kMECondConv, which only UNets that differ in them from the published ones have.
std::vector<std::string> keys() {
  std::vector<std::string> known = {"format", "version"};
  for_each_field<UNetSpec>([&](const char* key, auto) { known.emplace_back(key); });
  return known;
}

}  // namespace

std::string to_json(const UNetSpec& spec) {
  nlohmann::ordered_json json;
  json["format"] = std::string(kUNetFormat);
  json["version"] = kUNetVersion;
  for_each_field<UNetSpec>([&](const char* key, auto member) { Writer{json}(key, spec.*member); });
  if (!spec.removed.empty()) {
    json[kRemoved] = spec.removed;
  }
  for (const MECondConvSite& site : spec.me_cond_conv) {
    json[kMECondConv].push_back(site_json(site));
  }
  return json.dump();
}

UNetSpec spec_from_json(std::string_view json) {
  const nlohmann::json parsed = parse_json_object(json, "UNetSpec");
  check_header(parsed, "UNetSpec", kUNetFormat, kUNetVersion);
  std::vector<std::string> known = keys();
  for (const char* optional : {kRemoved, kMECondConv}) {
    if (parsed.contains(optional)) {
      known.emplace_back(optional);
    }
  }
  check_keys(parsed, "UNetSpec", known);
  UNetSpec spec;
  if (parsed.contains(kRemoved)) {
    spec.removed = read_removed(parsed.at(kRemoved));
  }
  if (parsed.contains(kMECondConv)) {
    spec.me_cond_conv = read_sites(parsed.at(kMECondConv));
  }
  for_each_field<UNetSpec>([&](const char* key, auto member) { Reader{parsed}(key, spec.*member); });
  spec.validate();
  return spec;
}

}  // namespace asdm
