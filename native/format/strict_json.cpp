#include "native/format/strict_json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "native/base/error.h"

namespace asdm {
namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxShown = 60;

std::string described(const nlohmann::json& json, const char* key) {
  return json.contains(key) ? describe_json(json.at(key)) : "no such key";
}

}  // namespace

nlohmann::json parse_json_object(std::string_view text, std::string_view where) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys_by_depth(kMaxDepth + 1);
  const auto guard = [&](int depth, Event event, nlohmann::json& parsed) {
    if (event != Event::key && event != Event::object_start && event != Event::array_start) {
      return true;
    }
    if (depth > kMaxDepth) {
      throw invalid_input(where, "JSON nested at most " + std::to_string(kMaxDepth) + " deep", "deeper nesting");
    }
    std::set<std::string>& keys = keys_by_depth[static_cast<size_t>(depth)];
    if (event == Event::key && !keys.insert(parsed.get<std::string>()).second) {
      throw invalid_input(where, "every key once", "'" + parsed.get<std::string>() + "' twice");
    }
    // An object's own keys are reported one level deeper than its start.
    if (event == Event::object_start && depth < kMaxDepth) {
      keys_by_depth[static_cast<size_t>(depth) + 1].clear();
    }
    return true;
  };
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text.begin(), text.end(), guard);
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
