#include "native/planning/run_time.h"

#include <algorithm>

namespace asdm {
namespace {

/// Shares closer together than this say nothing about the slope.
constexpr double kSmallestSpread = 1e-6;

}  // namespace

void RunTime::add(double share, double seconds) {
  count_ += 1.0;
  shares_ += share;
  seconds_ += seconds;
  squares_ += share * share;
  products_ += share * seconds;
}

RunTime::Line RunTime::line() const {
  const double spread = count_ * squares_ - shares_ * shares_;
  if (spread > kSmallestSpread * count_ * count_) {
    const double slope = (count_ * products_ - shares_ * seconds_) / spread;
    const double fixed = (seconds_ - slope * shares_) / count_;
    if (slope > 0.0 && fixed >= 0.0) {
      return {fixed, slope};
    }
  }
  return {0.0, squares_ > 0.0 ? products_ / squares_ : 0.0};
}

double RunTime::seconds(double share) const {
  const Line found = line();
  return found.fixed + found.slope * share;
}

double RunTime::speedup(double share) const {
  const double taken = seconds(share);
  return taken > 0.0 ? seconds(1.0) / taken : 1.0;
}

double RunTime::share_at(double speedup) const {
  const Line found = line();
  if (found.slope <= 0.0) {
    return std::min(1.0, 1.0 / speedup);
  }
  return std::min(1.0, (seconds(1.0) / speedup - found.fixed) / found.slope);
}

}  // namespace asdm
