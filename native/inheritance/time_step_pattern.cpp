// TimeStepPattern: a mode's placement, between the guards and past the expected end.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "native/base/error.h"
#include "native/base/words.h"
#include "native/inheritance/placement.h"
#include "native/inheritance/time_step_mode.h"

namespace asdm {
namespace {

/// What DeepCache's code and demos take.
constexpr double kQuadraticPower = 1.2;
constexpr double kCentrePower = 1.4;
constexpr double kCentreShare = 0.3;  ///< 15 of 50
/// Mild: the tenth gap is some seven times the first.
constexpr double kGrowingRatio = 1.25;

/// The modes of which a controller places the full evaluations while the run goes.
bool is_controlled(TimeStepMode mode) { return mode == TimeStepMode::kAdaptive || mode == TimeStepMode::kEasyCache; }

bool goes_by_interval(const TimeStepSettings& settings) {
  return settings.full_evaluations == 0 &&
         (settings.mode == TimeStepMode::kUniform || settings.mode == TimeStepMode::kSegment);
}

/// How far the run has come at each sigma: the sum of the changes of `coordinate`. A sigma that rises (restarts) is a
/// change like any other.
template <typename Coordinate>
std::vector<double> path_of(const std::vector<double>& sigmas, Coordinate coordinate) {
  std::vector<double> path;
  path.reserve(sigmas.size());
  for (const double sigma : sigmas) {
    if (!(sigma >= 0.0) || std::isinf(sigma)) {
      throw invalid_input("window_sigmas", "finite numbers of at least 0", number_text(sigma));
    }
    path.push_back(coordinate(sigma));
  }
  double before = path.front();
  double way = 0.0;
  for (double& place : path) {
    way += std::abs(place - before);
    before = place;
    place = way;
  }
  return path;
}

/// Way in log-SNR, which is -2 log sigma for a latent x0 + sigma noise; half of it here. A sigma of 0 has none, so it
/// stands with the smallest of the others.
std::vector<double> log_snr_path(const std::vector<double>& sigmas) {
  double smallest = std::numeric_limits<double>::max();
  for (const double sigma : sigmas) {
    smallest = sigma > 0.0 ? std::min(smallest, sigma) : smallest;
  }
  return path_of(sigmas, [smallest](double sigma) { return std::log(std::max(sigma, smallest)); });
}

/// Way along arctan(sigma): the latent scaled to unit variance is cos(angle) x0 + sin(angle) noise, which moves at unit
/// speed along the angle.
std::vector<double> angle_path(const std::vector<double>& sigmas) {
  return path_of(sigmas, [](double sigma) { return std::atan(sigma); });
}

/// Placement by count; `count` is from 1 to the number of sigmas.
placement::Indices place(const TimeStepSettings& settings, const std::vector<double>& sigmas, int64_t count) {
  const auto total = static_cast<int64_t>(sigmas.size());
  const auto centre = std::llround(kCentreShare * static_cast<double>(total));
  switch (settings.mode) {
    case TimeStepMode::kUniform:
    case TimeStepMode::kSegment:
      return placement::evenly(total, count);
    case TimeStepMode::kFront:
      return placement::front(total, count);
    case TimeStepMode::kTriangular:
      return placement::triangular(total, count);
    case TimeStepMode::kQuadratic:
      return placement::quadratic(total, count, kQuadraticPower);
    case TimeStepMode::kCentre:
      return placement::around(total, count, centre, kCentrePower, placement::SignRule::kSigned);
    case TimeStepMode::kCentrePublished:
      return placement::around(total, count, centre, kCentrePower, placement::SignRule::kPublished);
    case TimeStepMode::kGrowing:
      return placement::growing_to(total, settings.interval, count);
    case TimeStepMode::kGrowingPublished:
      return placement::widening_to(total, settings.interval, count);
    case TimeStepMode::kLogSnr:
      return placement::along(log_snr_path(sigmas), count);
    case TimeStepMode::kEqualChange:
      return placement::along(angle_path(sigmas), count);
    case TimeStepMode::kExplicit:
    case TimeStepMode::kAdaptive:
    case TimeStepMode::kEasyCache:
      break;
  }
  throw internal_fault("place", "a mode that places nothing by count");
}

/// Placement where no count is asked for: a mode's own list, or as many as `interval` alone would make.
placement::Indices place(const TimeStepSettings& settings, const std::vector<double>& sigmas) {
  const auto total = static_cast<int64_t>(sigmas.size());
  switch (settings.mode) {
    case TimeStepMode::kUniform:
    case TimeStepMode::kSegment:
      return placement::at_interval(total, settings.interval);
    case TimeStepMode::kFront:
      return placement::front(total);
    case TimeStepMode::kTriangular:
      return placement::triangular(total);
    case TimeStepMode::kGrowing:
      return placement::growing(total, settings.interval, kGrowingRatio);
    case TimeStepMode::kGrowingPublished:
      return placement::widening(total, settings.interval);
    default:
      return place(settings, sigmas, (total - 1) / settings.interval + 1);
  }
}

/// `first` .. `last` - 1.
std::vector<int64_t> range(int64_t first, int64_t last) {
  std::vector<int64_t> indices(static_cast<size_t>(std::max<int64_t>(last - first, 0)));
  std::iota(indices.begin(), indices.end(), first);
  return indices;
}

std::vector<int64_t> united(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<int64_t> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

}  // namespace

TimeStepPattern::TimeStepPattern(const TimeStepSettings& settings, const std::vector<double>& window_sigmas) {
  check(settings);
  const auto total = static_cast<int64_t>(window_sigmas.size());
  // The guards take `head` evaluations off the start and `tail` off the end; the mode's first full evaluation is the
  // last one of the head, or evaluation 0 where there is no guard.
  const int64_t head = std::min(settings.first_full, total);
  const int64_t tail = std::min(settings.last_full, total - head);
  const int64_t start = std::max<int64_t>(head - 1, 0);
  const int64_t end = total - tail;
  end_ = total;
  first_full_ = settings.first_full;
  full_ = united(range(0, std::max(head, std::min<int64_t>(total, 1))), range(end, total));
  if (settings.mode == TimeStepMode::kExplicit) {
    full_ = united(united(full_, {0}), settings.full_at);
    end_ = std::max(total, full_.back() + 1);
    return;
  }
  if (head + tail > 0 && head + tail == total) {
    return;  // the guards leave nothing to place, and nothing to a controller
  }
  if (is_controlled(settings.mode)) {
    beyond_ = Beyond::kNothing;
    return;
  }
  if (goes_by_interval(settings)) {
    beyond_ = Beyond::kInterval;
    interval_ = settings.interval;
    interval_start_ = start;
  }
  if (total == 0) {
    return;
  }
  const std::vector<double> between(window_sigmas.begin() + start, window_sigmas.begin() + end);
  const int64_t asked = std::clamp<int64_t>(settings.full_evaluations - start - tail, 1, end - start);
  placement::Indices placed =
      settings.full_evaluations > 0 ? place(settings, between, asked) : place(settings, between);
  for (int64_t& index : placed) {
    index += start;
  }
  full_ = united(full_, placed);
}

bool TimeStepPattern::is_full(int64_t index) const {
  if (index <= 0 || index < first_full_) {
    return true;
  }
  if (index < end_) {
    return std::binary_search(full_.begin(), full_.end(), index);
  }
  switch (beyond_) {
    case Beyond::kNothing:
      return false;
    case Beyond::kInterval:
      return (index - interval_start_) % interval_ == 0;
    case Beyond::kShare:
      break;
  }
  // The j-th full evaluation is the first index with floor(index * full / end) = j.
  const auto full = std::ssize(full_);
  return end_ == 0 || index * full / end_ != (index - 1) * full / end_;
}

bool TimeStepPattern::inherits() const {
  switch (beyond_) {
    case Beyond::kNothing:
      return true;
    case Beyond::kInterval:
      return interval_ > 1;
    case Beyond::kShare:
      break;
  }
  return std::ssize(full_) < end_;
}

}  // namespace asdm
