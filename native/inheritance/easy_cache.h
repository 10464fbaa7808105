// EasyCache's rule, as a reference to compare with.
#pragma once

#include "native/inheritance/controller.h"

namespace asdm {

/// EasyCache (arXiv 2507.02860): the output is taken to change in proportion to the input, at the rate seen between the
/// last two computed evaluations; the relative change foretold for each evaluation adds up until it reaches the
/// threshold, then one is computed. What stands in for the output is left to the run's values and sites.
class EasyCache final : public Controller {
 public:
  EasyCache(TimeStepPattern guards, double threshold);

  /// The relative change foretold for the prediction at `x`, since the last computed evaluation.
  at::Tensor measure(const at::Tensor& x) override;
  bool inherits(int64_t index, std::optional<double> foretold) override;
  void computed(const at::Tensor& prediction) override;

 private:
  TimeStepPattern guards_;
  double threshold_;
  at::Tensor now_;  ///< measured last
  at::Tensor x_;    ///< of the last computed evaluation
  at::Tensor prediction_;
  at::Tensor rate_;        ///< mean |change of prediction| per mean |change of x|, a scalar
  double foretold_ = 0.0;  ///< sum since then
};

}  // namespace asdm
