// Reads JSON from files nobody vouches for. Knows nothing of what the JSON means.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace asdm {

/// The JSON object in `text`. Throws Error at `where` for anything else: bad syntax, another type at the top, a key
/// that appears twice (the last would silently win), nesting deeper than the pack's formats go.
[[nodiscard]] nlohmann::json parse_json_object(std::string_view text, std::string_view where);

/// "a string", "an integer", ... for messages.
[[nodiscard]] std::string describe_json(const nlohmann::json& value);

}  // namespace asdm
