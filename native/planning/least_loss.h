// The plan of least predicted loss for a share of the work (docs/speed.md).
#pragma once

#include <string>
#include <vector>

#include "native/planning/cost.h"
#include "native/planning/loss_table.h"

namespace asdm {

/// One evaluation of the run that is planned.
struct CarriedEvaluation {
  double sigma = 0.0;  ///< above 0
  double carry = 0.0;  ///< what a miss of 1 in its denoised latent is in the final one, by the sampler
};

/// A place to inherit at: everything from the input to it is not computed.
struct CutCost {
  double depth = 0.0;  ///< share of the output blocks computed behind it
  double share = 0.0;  ///< of a full evaluation that one which inherits it computes
};

/// For each evaluation the index of its cut, -1 for a full one, with the least predicted loss that was found whose mean
/// share is at most `share`. The first evaluation is full. Deterministic. `cuts` by ascending share, all below 1.
[[nodiscard]] std::vector<int64_t> least_loss_cuts(const LossTable& table, const std::vector<CutCost>& cuts,
                                                   const std::vector<CarriedEvaluation>& evaluations, double share);

/// Mean square that `chosen` is predicted to miss the final latent by.
[[nodiscard]] double predicted_loss(const LossTable& table, const std::vector<CutCost>& cuts,
                                    const std::vector<CarriedEvaluation>& evaluations,
                                    const std::vector<int64_t>& chosen);

struct LeastLossPlan {
  std::vector<std::vector<std::string>> sites;  ///< for each evaluation
  double share = 1.0;                           ///< of a full run's multiply-accumulates
  double psnr = 0.0;                            ///< predicted, dB between final latents; infinite where none inherits
};

/// The plan for a run that is `speedup` (at least 1) times as fast by its multiply-accumulates; less where no plan is.
[[nodiscard]] LeastLossPlan least_loss_plan(const LossTable& table, const Topology& topology,
                                            const std::vector<CarriedEvaluation>& evaluations, const CallSize& size,
                                            double speedup);

}  // namespace asdm
