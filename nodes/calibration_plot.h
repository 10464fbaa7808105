// The picture of a calibration: the plans that were tried, closeness over speed.
#pragma once

#include "nodes/host.h"

namespace asdm::nodes {

/// One picture: a mark for each tried plan, a larger one for the chosen, and a line at `target_speedup`.
[[nodiscard]] Image calibration_plot(const CalibratedPlan& calibrated, double target_speedup);

}  // namespace asdm::nodes
