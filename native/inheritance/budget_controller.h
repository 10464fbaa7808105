// A guaranteed number of full evaluations, placed where the input of the UNet moves most.
#pragma once

#include "native/inheritance/controller.h"

namespace asdm {

/// Spends `budget` full evaluations on `total`: an evaluation is full when the path of the input since the last full
/// one has grown to an equal share of what is left of the path, which is taken to go on at its mean pace; and in any
/// case when there are no more evaluations left than full ones. So exactly `budget` are full, whatever the path, if the
/// run has at least `total` evaluations; guards count, and are full even where they exceed the budget. Samplers that
/// evaluate more than once a step make more than `total`: each further `total` has the budget anew.
class BudgetController final : public Controller {
 public:
  BudgetController(TimeStepPattern guards, int64_t total, int64_t budget);

  at::Tensor measure(const at::Tensor& x) override { return input_.step(x); }
  bool inherits(int64_t index, std::optional<double> change) override;

 private:
  [[nodiscard]] bool is_due(int64_t index) const;

  TimeStepPattern guards_;
  int64_t total_;
  int64_t budget_;
  int64_t left_;
  InputChange input_;
  double since_full_ = 0.0;
  double path_ = 0.0;
  int64_t steps_ = 0;
};

}  // namespace asdm
