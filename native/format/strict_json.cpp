#include "native/format/strict_json.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "native/base/error.h"

namespace asdm {
namespace {

constexpr size_t kMaxDepth = 8;
constexpr size_t kMaxBytes = 100'000'000;  // the limit that safetensors sets for its headers
constexpr size_t kMaxShown = 60;

/// Refuses what a parser lets pass: deep nesting, and keys that come twice.
class Guard final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Guard(std::string_view where) : where_(where) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      throw invalid_input(where_, "every key once", "'" + name + "' twice");
    }
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;  // the second pass says it
  }

 private:
  bool open() {
    if (keys_.size() > kMaxDepth) {
      throw invalid_input(where_, "JSON nested at most " + std::to_string(kMaxDepth) + " deep", "deeper nesting");
    }
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  std::string_view where_;
  std::vector<std::unordered_set<std::string>> keys_;  ///< of the objects that are open
};

std::string described(const nlohmann::json& json, const char* key) {
  return json.contains(key) ? describe_json(json.at(key)) : "no such key";
}

}  // namespace

nlohmann::json parse_json_object(std::string_view text, std::string_view where) {
  if (text.size() > kMaxBytes) {
    throw invalid_input(where, "JSON of at most " + std::to_string(kMaxBytes) + " bytes", std::to_string(text.size()));
  }
  if (text.find('\0') != std::string_view::npos) {  // which the library takes for the end
    throw invalid_input(where, "JSON", "a text with a byte of zero");
  }
  // In two passes: the library's own callback looks through all of an object at the end of each value in it.
  Guard guard(where);
  nlohmann::json json;
  try {
    nlohmann::json::sax_parse(text.begin(), text.end(), &guard);
    json = nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    throw invalid_input(where, "JSON", error.what());
  }
  if (!json.is_object()) {
    throw invalid_input(where, "a JSON object", describe_json(json));
  }
  return json;
}

void check_header(const nlohmann::json& json, const std::string& where, std::string_view format, int64_t version) {
  if (!json.contains("format") || json.at("format") != std::string(format)) {
    throw invalid_input(where + ".format", "\"" + std::string(format) + "\"", described(json, "format"));
  }
  if (!json.contains("version") || json.at("version") != version) {
    throw invalid_input(where + ".version", std::to_string(version) + " (another version needs another ComfyUI-ASDM)",
                        described(json, "version"));
  }
}

void check_keys(const nlohmann::json& json, const std::string& where, const std::vector<std::string>& known) {
  if (!json.is_object()) {
    throw invalid_input(where, "an object", describe_json(json));
  }
  std::vector<std::string> missing;
  for (const std::string& key : known) {
    if (!json.contains(key)) {
      missing.push_back(key);
    }
  }
  std::vector<std::string> unknown;
  for (const auto& item : json.items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end()) {
      unknown.push_back(item.key());
    }
  }
  std::string got;
  if (!missing.empty()) {
    got = "no key " + join(missing);
  }
  if (!unknown.empty()) {
    got += (got.empty() ? "" : " and ") + ("unknown key " + join(unknown));
  }
  if (!got.empty()) {
    throw invalid_input(where, "exactly the keys " + join(known), got);
  }
}

int64_t read_integer(const nlohmann::json& json, const std::string& at) {
  // is_number_unsigned without a fitting value would wrap into a negative number.
  const bool too_large = json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{INT64_MAX};
  if (!json.is_number_integer() || too_large) {
    throw invalid_input(at, "an integer", describe_json(json));
  }
  return json.get<int64_t>();
}

std::string read_string(const nlohmann::json& json, const std::string& at) {
  if (!json.is_string()) {
    throw invalid_input(at, "a string", describe_json(json));
  }
  return json.get<std::string>();
}

size_t read_name(const nlohmann::json& json, const std::string& at, const std::vector<std::string>& known) {
  const std::string name = read_string(json, at);
  const auto found = std::find(known.begin(), known.end(), name);
  if (found == known.end()) {
    throw unknown_name(at, name, known);
  }
  return static_cast<size_t>(found - known.begin());
}

std::string describe_json(const nlohmann::json& value) {
  if (value.is_object()) {
    return "an object";
  }
  if (value.is_array()) {
    return "a list";
  }
  // Replacing bad UTF-8: a message about a bad file must not fail itself.
  std::string shown = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (shown.size() > kMaxShown) {
    shown = shown.substr(0, kMaxShown) + "...";
  }
  return shown;
}

}  // namespace asdm
