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

  bool inherits(int64_t index, const at::Tensor& x) override {
    const double change = x.defined() ? input_.step(x) : -1.0;
    since_full_ += change;
    if (change >= 0.0 && since_full_ < threshold_ && !guards_.is_full(index)) {
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

double InputChange::step(const at::Tensor& x) {
  const double change = last_.defined() && last_.sizes() == x.sizes() ? relative_change(x, last_) : -1.0;
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
