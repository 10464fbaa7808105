#include "native/inheritance/budget_controller.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace asdm {
namespace {

/// Paths are sums: allow for rounding.
constexpr double kPathMargin = 1.0 + 1e-9;

}  // namespace

BudgetController::BudgetController(TimeStepPattern guards, int64_t total, int64_t budget)
    : guards_(std::move(guards)), total_(std::max<int64_t>(total, 1)), budget_(budget), left_(budget) {}

bool BudgetController::inherits(int64_t index, std::optional<double> change) {
  if (change && std::isfinite(*change)) {
    path_ += *change;
    ++steps_;
    since_full_ += *change;
  } else if (steps_ > 0) {
    since_full_ += path_ / static_cast<double>(steps_);
  }
  if (index > 0 && index % total_ == 0) {
    left_ = budget_;
  }
  if (!is_due(index)) {
    return true;
  }
  --left_;
  since_full_ = 0.0;
  return false;
}

bool BudgetController::is_due(int64_t index) const {
  if (guards_.is_full(index)) {
    return true;
  }
  const int64_t end = (index / total_ + 1) * total_;
  int64_t guarded = 0;
  for (int64_t later = index + 1; later < end; ++later) {
    guarded += guards_.is_full(later) ? 1 : 0;
  }
  const int64_t free = left_ - guarded;
  if (free <= 0) {
    return false;
  }
  if (end - index - guarded <= free) {
    return true;
  }
  const double pace = steps_ > 0 ? path_ / static_cast<double>(steps_) : 0.0;
  const double ahead = pace * static_cast<double>(end - index);
  return since_full_ * kPathMargin >= (since_full_ + ahead) / static_cast<double>(free + 1);
}

}  // namespace asdm
