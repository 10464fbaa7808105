// Reads JSON from files nobody vouches for. Knows nothing of what the JSON means.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace asdm {

/// The JSON object in `text`. Throws Error at `where` for anything else: bad syntax, another type at the top, a key
/// that appears twice (the last would silently win), nesting deeper than the pack's formats go.
[[nodiscard]] nlohmann::json parse_json_object(std::string_view text, std::string_view where);

/// Throws Error at `where` unless the object `json` says that it is `format` in `version`.
void check_header(const nlohmann::json& json, const std::string& where, std::string_view format, int64_t version);

/// Throws Error at `where` unless the object `json` has exactly the keys `known`. Names all missing and unknown ones
/// at once, so that a file is mended in one go.
void check_keys(const nlohmann::json& json, const std::string& where, const std::vector<std::string>& known);

/// The value at `at`, which names its path for the error that another type or an unknown name is.
[[nodiscard]] int64_t read_integer(const nlohmann::json& json, const std::string& at);
[[nodiscard]] std::string read_string(const nlohmann::json& json, const std::string& at);
/// The index in `known` of the name in `json`.
[[nodiscard]] size_t read_name(const nlohmann::json& json, const std::string& at,
                               const std::vector<std::string>& known);

/// "a string", "an integer", ... for messages.
[[nodiscard]] std::string describe_json(const nlohmann::json& value);

}  // namespace asdm
