// What a run gained, in one line. Knows the report's JSON (docs/report.md) and nothing of the run itself.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace asdm::nodes {

/// "1.9x faster · 7 of 20 full · 4.4 s saved · 49 % of the work · 4 MiB kept": in the words of users,
/// of what was measured in the run. `emphasis` stands around the first part, as Markdown has it. Throws Error (an
/// internal fault) where the text is no report of a run.
[[nodiscard]] std::string report_headline(std::string_view report_json, const std::string& emphasis = "");

/// What a user should know of how the run was set up, in a sentence each: few steps, other caches. Throws as above.
[[nodiscard]] std::vector<std::string> report_hints(std::string_view report_json);

/// "4 MiB"
[[nodiscard]] std::string bytes_text(double bytes, int digits);

/// `value` with so many `digits` behind the point.
[[nodiscard]] std::string decimal(double value, int digits);

}  // namespace asdm::nodes
