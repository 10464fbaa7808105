// The plan that needs no losses: what mode `segment` with sites "auto" does.
#pragma once

#include <vector>

#include "native/planning/least_loss.h"

namespace asdm {

struct SegmentPlan {
  PlanSites sites;
  double share = 1.0;  ///< of a full run's multiply-accumulates
};

/// With as many full evaluations as a run may have that does `speedup` (at least 1) times less work; with one where no
/// number of them lets it. `sigmas`: of each evaluation, at least one.
[[nodiscard]] SegmentPlan segment_plan(const Topology& topology, const UNetSpec& spec,
                                       const std::vector<double>& sigmas, const CallSize& size, double speedup);

}  // namespace asdm
