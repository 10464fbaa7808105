// The text of a run report, as Markdown tables. Knows the report's JSON (docs/report.md) and nothing of the run itself.
#pragma once

#include <string>
#include <string_view>

namespace asdm::nodes {

/// Throws Error (an internal fault: the report is the pack's own) where `report_json` lacks a key or has another type.
[[nodiscard]] std::string report_table(std::string_view report_json);

}  // namespace asdm::nodes
