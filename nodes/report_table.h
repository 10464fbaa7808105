// The texts of a run report, as Markdown tables. Knows the report's JSON (docs/report.md) and nothing of the run
// itself.
#pragma once

#include <string>
#include <string_view>

namespace asdm::nodes {

/// What the node shows: one line of what was gained, and what a user should know besides. Throws as report_table().
[[nodiscard]] std::string report_summary(std::string_view report_json);

/// All of it, by the words of docs/report.md, with a row for each address. Throws Error (an internal fault: the report
/// is the pack's own) where `report_json` lacks a key or has another type.
[[nodiscard]] std::string report_table(std::string_view report_json);

}  // namespace asdm::nodes
