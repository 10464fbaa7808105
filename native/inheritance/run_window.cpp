#include "native/inheritance/run_window.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/inheritance/evaluation_point.h"

namespace asdm {
namespace {

/// Sigma at `percent` (0..1) of the schedule, linear between its entries.
double sigma_at(const std::vector<double>& sigmas, double percent) {
  const double position = percent * static_cast<double>(sigmas.size() - 1);
  const auto below = static_cast<size_t>(std::floor(position));
  if (below + 1 >= sigmas.size()) {
    return sigmas.back();
  }
  const double share = position - static_cast<double>(below);
  return sigmas[below] * (1.0 - share) + sigmas[below + 1] * share;
}

}  // namespace

RunWindow::RunWindow(const std::vector<double>& sigmas, double start, double end)
    : schedule_(sigmas), start_(start), end_(end) {
  if (sigmas.size() < 2) {
    return;  // no step: nothing lies inside
  }
  high_ = start <= 0.0 ? std::numeric_limits<double>::infinity() : sigma_at(sigmas, start);
  // An open end has no limit: samplers may end below the schedule's last sigma.
  low_ = end >= 1.0 ? -1.0 : sigma_at(sigmas, end);
  std::copy_if(sigmas.begin(), sigmas.end() - 1, std::back_inserter(inside_),
               [this](double sigma) { return contains(sigma); });
}

bool RunWindow::contains(double sigma) const {
  return schedule_.size() > 1 && sigma <= high_ * (1.0 + kSigmaMargin) && sigma > low_ * (1.0 + kSigmaMargin);
}

double RunWindow::share(double sigma) const {
  // The schedule falls: the first entry that is not above sigma ends the step that sigma lies in.
  const auto below = std::find_if(schedule_.begin(), schedule_.end(),
                                  [&](double entry) { return entry <= sigma * (1.0 + kSigmaMargin); });
  double position = static_cast<double>(below - schedule_.begin());
  if (below == schedule_.end()) {
    position = static_cast<double>(schedule_.size() - 1);
  } else if (below != schedule_.begin() && *below < sigma) {
    const double above = *(below - 1);
    position -= (sigma - *below) / (above - *below);
  }
  const double percent = position / static_cast<double>(schedule_.size() - 1);
  return end_ > start_ ? (percent - start_) / (end_ - start_) : 0.0;
}

}  // namespace asdm
