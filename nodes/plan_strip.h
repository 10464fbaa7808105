// The picture of a run: addresses by evaluations, coloured by what was done. Knows the report's JSON (docs/report.md).
#pragma once

#include <string_view>

#include "nodes/host.h"

namespace asdm::nodes {

/// One picture; a blank one with a line of text where the report is of no run or of one without evaluations.
/// Throws Error (an internal fault: the report is the pack's own) where `report_json` does not follow docs/report.md.
[[nodiscard]] Image plan_strip(std::string_view report_json);

}  // namespace asdm::nodes
