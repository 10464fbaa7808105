#include "native/format/strict_json.h"

#include <set>
#include <vector>

#include "native/base/error.h"

namespace asdm {
namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxShown = 60;

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
