#include "native/inheritance/controller.h"

#include <utility>

#include "native/inheritance/budget_controller.h"
#include "native/inheritance/easy_cache.h"
#include "native/inheritance/relative_change.h"

namespace asdm {
namespace {

/// Full when the input of the UNet has moved by `threshold`, in sum of its relative changes, since the last full one.
class ChangeController final : public Controller {
 public:
  ChangeController(TimeStepPattern guards, double threshold) : guards_(std::move(guards)), threshold_(threshold) {}

  at::Tensor measure(const at::Tensor& x) override { return input_.step(x); }

  bool inherits(int64_t index, std::optional<double> change) override {
    since_full_ += change.value_or(0.0);
    if (change && since_full_ < threshold_ && !guards_.is_full(index)) {
      return true;
    }
    since_full_ = 0.0;
    return false;
  }

 private:
  TimeStepPattern guards_;
  double threshold_;
  InputChange input_;
  double since_full_ = 0.0;
};

}  // namespace

at::Tensor InputChange::step(const at::Tensor& x) {
  at::Tensor change;
  if (last_.defined() && last_.sizes() == x.sizes()) {
    change = relative_change(x, last_);
  }
  last_ = x.detach().clone();
  return change;
}

std::unique_ptr<Controller> make_controller(const TimeStepSettings& settings, TimeStepPattern guards, int64_t total) {
  if (settings.mode == TimeStepMode::kEasyCache) {
    return std::make_unique<EasyCache>(std::move(guards), settings.threshold);
  }
  if (settings.mode != TimeStepMode::kAdaptive) {
    return nullptr;
  }
  if (settings.full_evaluations > 0) {
    return std::make_unique<BudgetController>(std::move(guards), total, settings.full_evaluations);
  }
  return std::make_unique<ChangeController>(std::move(guards), settings.threshold);
}

}  // namespace asdm
