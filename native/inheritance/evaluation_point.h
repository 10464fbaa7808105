// Where in a run something happened.
#pragma once

#include <algorithm>
#include <cstdint>

namespace asdm {

/// One evaluation of a run.
struct EvaluationPoint {
  int64_t evaluation = 0;  ///< 0-based, counted in evaluations
  double sigma = 0.0;
  bool operator==(const EvaluationPoint&) const = default;
  /// What holds for values of both: the lower count, the lower sigma.
  [[nodiscard]] EvaluationPoint earlier(const EvaluationPoint& other) const {
    return {std::min(evaluation, other.evaluation), std::min(sigma, other.sigma)};
  }
};

/// Samplers evaluate a hair beside their schedule (uni_pc's last sigma, ancestral noise), so compare with a margin.
constexpr double kSigmaMargin = 1e-4;

/// True where the noise level went up between `earlier` and `later`, as restart samplers do.
[[nodiscard]] inline bool rises(double earlier, double later) { return earlier < later * (1.0 - kSigmaMargin); }

}  // namespace asdm
