#include "native/planning/segment_plan.h"

#include <algorithm>

#include "native/base/error.h"
#include "native/inheritance/time_step_mode.h"
#include "native/planning/presets.h"

namespace asdm {

SegmentPlan segment_plan(const Topology& topology, const UNetSpec& spec, const std::vector<double>& sigmas,
                         const CallSize& size, double speedup) {
  if (sigmas.empty() || !(speedup >= 1.0)) {
    throw invalid_input("speed", "1 or more, in a run of an evaluation or more", std::to_string(speedup));
  }
  const std::vector<SitePhase> phases = automatic_phases(topology, spec);
  const auto count = static_cast<double>(sigmas.size());
  const auto phase_at = [&](size_t index) {
    return std::find_if(phases.begin(), phases.end() - 1,
                        [&](const SitePhase& phase) { return static_cast<double>(index) < phase.end * count; });
  };
  const auto with_full = [&](int64_t full) {
    const TimeStepPattern pattern({.mode = TimeStepMode::kSegment, .full_evaluations = full}, sigmas);
    SegmentPlan plan{.sites = PlanSites(sigmas.size()), .share = 0.0};
    for (size_t index = 0; index < sigmas.size(); ++index) {
      if (pattern.is_full(static_cast<int64_t>(index))) {
        plan.share += 1.0 / count;
        continue;
      }
      const NodeId cut = phase_at(index)->sites.front();
      plan.sites[index] = {topology.node(cut).address};
      plan.share += share_behind(topology, cut, size) / count;
    }
    return plan;
  };
  auto full = std::ssize(sigmas);
  SegmentPlan plan = with_full(full);
  while (full > 1 && plan.share > (1.0 + 1e-9) / speedup) {
    plan = with_full(--full);
  }
  return plan;
}

}  // namespace asdm
