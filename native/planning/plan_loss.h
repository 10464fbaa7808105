// What plans lose, as the table of losses predicts it (docs/speed.md).
#pragma once

#include <cstdint>
#include <iterator>
#include <vector>

#include "native/planning/least_loss.h"

namespace asdm {

/// By evaluation, the cut that it inherits. A cut's index is higher the more of the UNet it leaves alive; -1 stands for
/// all.
using Cuts = std::vector<int64_t>;

/// Of a full run's work, what a plan does.
[[nodiscard]] double mean_share(const std::vector<CutCost>& cuts, const Cuts& chosen);

/// Tells what plans of one run lose. What it is made of must outlive it.
class PlanLoss {
 public:
  PlanLoss(const LossTable& table, const std::vector<CutCost>& cuts, const std::vector<CarriedEvaluation>& evaluations,
           ValueForm value);

  /// Mean square of the final latent. What an evaluation inherits was computed by the last one that computed it, which
  /// may have inherited deeper parts itself: then what that missed lives on in it.
  double loss(const Cuts& chosen);

  /// Of the loss's root, what each evaluation brings in by its own miss: the derivative by that, times the miss.
  std::vector<double> parts(const Cuts& chosen);

  /// loss(), and what the loss of plans that differ in one evaluation is told from.
  double settle(const Cuts& chosen);

  /// By how much `chosen` loses more than the plan that was settled, which had the cut `before` at `evaluation` and is
  /// else the same. Few misses change with it, those of the evaluations that inherit from it, so that this takes a
  /// fraction of loss(); the sums are added in another order.
  double loss_added(Cuts& chosen, size_t evaluation, int64_t before);

  [[nodiscard]] double share(const Cuts& chosen) const { return mean_share(cuts_, chosen); }
  [[nodiscard]] int64_t cuts() const { return std::ssize(cuts_); }

 private:
  /// What an evaluation's miss is made of: its own, and those that live on in what it inherits.
  struct Sources {
    double own = 0.0;
    size_t before = 0;   ///< the evaluation that computed what it inherits
    size_t earlier = 0;  ///< and the one before, that a forecast looks back on
    double step = 0.0;   ///< of what the former missed more than the latter, the part that is taken for a step
  };

  /// What each evaluation of `chosen` from `first` on misses.
  void follow(const Cuts& chosen, size_t first = 0);
  /// Correlation of the misses of two evaluations.
  [[nodiscard]] double likeness(const Cuts& chosen, size_t i, size_t j) const {
    return likeness_[i * chosen.size() + j] * (chosen[i] == chosen[j] ? 1.0 : table_.kinship);
  }
  [[nodiscard]] Since since(size_t i, size_t before) const;

  const LossTable& table_;
  const std::vector<CutCost>& cuts_;
  const std::vector<CarriedEvaluation>& run_;
  bool forecasts_;
  std::vector<double> weights_;  ///< of a miss in each evaluation
  std::vector<double> misses_;
  std::vector<double> settled_;  ///< misses of the plan that was settled
  std::vector<double> pulls_;    ///< half of the slope of its loss by each weighed miss
  std::vector<size_t> changed_;  ///< evaluations that miss something else than in the settled plan
  std::vector<double> weighed_;  ///< misses times weights
  std::vector<Sources> from_;
  std::vector<double> likeness_;
  std::vector<double> forecast_shares_;
  std::vector<double> table_misses_;
};

}  // namespace asdm
