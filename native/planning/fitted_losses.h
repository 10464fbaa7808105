// The losses of a user's own model, prompt and sampler, as runs of plans show them (docs/plan.md).
#pragma once

#include <vector>

#include "native/planning/least_loss.h"

namespace asdm {

/// A plan that was run.
struct MeasuredPlan {
  PlanSites sites;                     ///< for each evaluation one cut of unet_cuts(), or none
  double psnr = 0.0;                   ///< dB between its latents and those of the exact run
  ValueForm value = ValueForm::kHold;  ///< that stood in: kHold or kTaylor1
};

/// `table` with levels that explain what `measured` lost. A plan that lost more than predicted raises the levels at the
/// cuts and noise levels that its loss comes from, and less those like them: least squares in ln(loss) over all plans,
/// held to the table by a prior. `doubt`, above 0: deviation of ln(loss's root) that no level explains; the lower, the
/// further levels go. Throws Error for a plan of other sites or another number of evaluations.
[[nodiscard]] LossTable fitted_losses(const LossTable& table, const Topology& topology,
                                      const std::vector<CarriedEvaluation>& evaluations, const CallSize& size,
                                      const std::vector<MeasuredPlan>& measured, double doubt);

}  // namespace asdm
