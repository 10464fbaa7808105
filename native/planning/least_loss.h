// The plan of least predicted loss for a share of the work (docs/speed.md).
#pragma once

#include <string>
#include <vector>

#include "native/format/choices.h"
#include "native/planning/cost.h"
#include "native/planning/loss_table.h"

namespace asdm {

/// One evaluation of the run that is planned.
struct CarriedEvaluation {
  double sigma = 0.0;   ///< above 0
  double carry = 0.0;   ///< what a miss of 1 in its denoised latent is in the final one, by the sampler
  double offset = 0.0;  ///< of its input from the run's smooth way, in ln(sigma); those of a corrector alternate
  /// How much of its input was drawn anew since each evaluation before it, 0 to 1; empty where the sampler draws none.
  std::vector<double> renewed = {};
};

/// A place to inherit at: everything from the input to it is not computed.
struct CutCost {
  double depth = 0.0;  ///< share of the output blocks computed behind it
  double share = 0.0;  ///< of a full evaluation that one which inherits it computes
};

/// For each evaluation the index of its cut, -1 for a full one, with the least predicted loss that was found whose mean
/// share is at most `share`. The first evaluation is full. Deterministic. `cuts` by ascending share, all below 1.
[[nodiscard]] std::vector<int64_t> least_loss_cuts(const LossTable& table, const std::vector<CutCost>& cuts,
                                                   const std::vector<CarriedEvaluation>& evaluations, double share,
                                                   ValueForm value = ValueForm::kHold);

/// Mean square that `chosen` is predicted to miss the final latent by. `value` that stands in: kHold or kTaylor1.
[[nodiscard]] double predicted_loss(const LossTable& table, const std::vector<CutCost>& cuts,
                                    const std::vector<CarriedEvaluation>& evaluations,
                                    const std::vector<int64_t>& chosen, ValueForm value = ValueForm::kHold);

/// Of the root of predicted_loss(), the part that each evaluation brings in by what it misses itself; one in all, and
/// zeros where nothing is inherited.
[[nodiscard]] std::vector<double> loss_parts(const LossTable& table, const std::vector<CutCost>& cuts,
                                             const std::vector<CarriedEvaluation>& evaluations,
                                             const std::vector<int64_t>& chosen, ValueForm value = ValueForm::kHold);

/// Where a UNet may be cut: as a whole, and behind each output block that leaves more to compute than the one before.
struct UNetCuts {
  std::vector<CutCost> costs;
  std::vector<NodeId> nodes;  ///< inherited at each of them
};

/// Share of a full evaluation that one which inherits `cut` computes.
[[nodiscard]] double share_behind(const Topology& topology, NodeId cut, const CallSize& size);

[[nodiscard]] UNetCuts unet_cuts(const Topology& topology, const CallSize& size);

/// For each evaluation the addresses that it inherits; none where it is full.
using PlanSites = std::vector<std::vector<std::string>>;

struct LeastLossPlan {
  PlanSites sites;
  ValueForm value = ValueForm::kHold;  ///< that stands in
  double share = 1.0;                  ///< of a full run's multiply-accumulates
  double psnr = 0.0;                   ///< predicted, dB between final latents; infinite where none inherits
};

/// The plan for a run that is `speedup` (at least 1) times as fast by its multiply-accumulates; less where no plan is.
/// `may_forecast`: whether values may be forecast where less is lost so.
[[nodiscard]] LeastLossPlan least_loss_plan(const LossTable& table, const Topology& topology,
                                            const std::vector<CarriedEvaluation>& evaluations, const CallSize& size,
                                            double speedup, bool may_forecast = false);

}  // namespace asdm
