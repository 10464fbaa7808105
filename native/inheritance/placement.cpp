#include "native/inheritance/placement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numeric>
#include <utility>

namespace asdm::placement {
namespace {

/// Slack against rounding where a real position is compared with a whole number.
constexpr double kSlack = 1e-9;

/// Moves indices apart as little as needed, so that they are different ones below `total`. They rise already or stand.
Indices separate(Indices indices, int64_t total) {
  for (size_t i = 1; i < indices.size(); ++i) {
    indices[i] = std::max(indices[i], indices[i - 1] + 1);
  }
  int64_t limit = total;
  for (size_t i = indices.size(); i-- > 0;) {
    limit = indices[i] = std::min(indices[i], limit - 1);
  }
  return indices;
}

/// The terms 0, 1, ... of the rising sequence `term` that lie below `total`.
template <typename Term>
Indices below(int64_t total, Term term) {
  Indices indices;
  for (int64_t j = 0; term(j) < total; ++j) {
    indices.push_back(term(j));
  }
  return indices;
}

/// The first `count` terms of `term`, scaled so that the term after them would be `total`.
template <typename Term>
Indices scaled(int64_t total, int64_t count, Term term) {
  Indices indices;
  for (int64_t j = 0; j < count; ++j) {
    indices.push_back(term(j) * total / term(count));
  }
  return separate(std::move(indices), total);
}

constexpr int64_t kKeySteps = 9;
/// Key steps of Faster Diffusion, and the length of its run.
constexpr std::array<int64_t, kKeySteps + 1> kKeys = {0, 1, 2, 3, 5, 10, 15, 25, 35, 50};

int64_t triangular_term(int64_t j) { return j * (j + 3) / 2; }

/// The sum of the gaps floor(first_gap + k / 2) for k < j.
int64_t widening_term(int64_t j, int64_t first_gap) { return j * first_gap + (j / 2) * ((j - 1) / 2); }

double signed_power(double base, double exponent) { return std::copysign(std::pow(std::abs(base), exponent), base); }

/// `base` to `exponent` as a rule has it. A complex number stays one, as both ends of the range are raised alike.
std::complex<double> power_of(std::complex<double> base, double exponent, SignRule rule) {
  return rule == SignRule::kSigned ? signed_power(base.real(), exponent)
                                   : std::pow(base, std::complex<double>(exponent));
}

/// The different truncated indices of `around` for one power; all but the first and last of the range.
Indices around_with(int64_t total, int64_t count, int64_t centre, double power, SignRule rule) {
  const auto first = power_of(-static_cast<double>(centre), 1.0 / power, rule);
  const auto last = power_of(static_cast<double>(total - centre), 1.0 / power, rule);
  const auto step = (last - first) / static_cast<double>(count);
  Indices offsets;
  for (int64_t j = 0; j <= count; ++j) {
    const auto distance = j == count ? last : first + static_cast<double>(j) * step;
    offsets.push_back(static_cast<int64_t>(power_of(distance, power, rule).real()));
  }
  std::sort(offsets.begin(), offsets.end());
  offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
  Indices indices = {0};
  for (size_t i = 1; i + 1 < offsets.size(); ++i) {
    indices.push_back(offsets[i] + centre);
  }
  return indices;
}

/// Sum of `count` gaps that grow from `first_gap` by `ratio`.
double length_of_gaps(double first_gap, double ratio, int64_t count) {
  const auto gaps = static_cast<double>(count);
  return ratio - 1.0 < kSlack ? first_gap * gaps : first_gap * (std::pow(ratio, gaps) - 1.0) / (ratio - 1.0);
}

int64_t growing_term(double first_gap, double ratio, int64_t j) {
  return static_cast<int64_t>(std::floor(length_of_gaps(first_gap, ratio, j) + kSlack));
}

}  // namespace

Indices at_interval(int64_t total, int64_t interval) {
  const int64_t gap = std::min(interval, total);
  return below(total, [gap](int64_t j) { return j * gap; });
}

Indices evenly(int64_t total, int64_t count) {
  Indices indices;
  for (int64_t j = 0; j < count; ++j) {
    indices.push_back((j * total + count - 1) / count);
  }
  return indices;
}

Indices along(const std::vector<double>& path, int64_t count) {
  const auto total = static_cast<int64_t>(path.size());
  if (path.back() <= path.front()) {
    return evenly(total, count);
  }
  const double way = path.back() - path.front() + (path.back() - path[path.size() - 2]);
  Indices indices;
  for (int64_t j = 0; j < count; ++j) {
    const double part = path.front() + way * (static_cast<double>(j) / static_cast<double>(count) - kSlack);
    indices.push_back(std::lower_bound(path.begin(), path.end(), part) - path.begin());
  }
  return separate(std::move(indices), total);
}

Indices front(int64_t total) {
  Indices indices;
  for (int64_t key = 0; key < kKeySteps; ++key) {
    indices.push_back(kKeys[static_cast<size_t>(key)] * total / kKeys.back());
  }
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  return indices;
}

Indices front(int64_t total, int64_t count) {
  Indices indices;
  for (int64_t j = 0; j < count; ++j) {
    // The j-th of `count` lies at key 9 j / count; between two keys the curve is straight.
    const auto key = static_cast<size_t>(j * kKeySteps / count);
    const int64_t past = j * kKeySteps % count;
    const int64_t place = kKeys[key] * count + past * (kKeys[key + 1] - kKeys[key]);
    indices.push_back(place * total / (kKeys.back() * count));
  }
  return separate(std::move(indices), total);
}

Indices triangular(int64_t total) { return below(total, triangular_term); }

Indices triangular(int64_t total, int64_t count) { return scaled(total, count, triangular_term); }

Indices quadratic(int64_t total, int64_t count, double power) {
  const double step = std::pow(static_cast<double>(total), 1.0 / power) / static_cast<double>(count);
  Indices indices;
  for (int64_t j = 0; j < count; ++j) {
    indices.push_back(static_cast<int64_t>(std::pow(static_cast<double>(j) * step, power)));
  }
  return separate(std::move(indices), total);
}

Indices around(int64_t total, int64_t count, int64_t centre, double power, SignRule rule) {
  for (; power > 1.0; power -= 0.02) {
    if (Indices indices = around_with(total, count, centre, power, rule); std::ssize(indices) == count) {
      return indices;
    }
  }
  return evenly(total, count);
}

Indices growing(int64_t total, int64_t first_gap, double ratio) {
  const auto gap = static_cast<double>(std::min(first_gap, total));
  return below(total, [=](int64_t j) { return growing_term(gap, ratio, j); });
}

Indices growing_to(int64_t total, int64_t first_gap, int64_t count) {
  const auto length = static_cast<double>(total);
  const auto gap = static_cast<double>(std::min(first_gap, total));
  if (gap * static_cast<double>(count) >= length) {
    return evenly(total, count);
  }
  double low = 1.0;
  double high = length;  // two gaps fill the run at a lower ratio, one gap alone leaves nothing to place
  for (int halving = 0; halving < 100; ++halving) {
    const double middle = std::midpoint(low, high);
    (length_of_gaps(gap, middle, count) < length ? low : high) = middle;
  }
  Indices indices;
  for (int64_t j = 0; j < count; ++j) {
    indices.push_back(growing_term(gap, high, j));
  }
  return separate(std::move(indices), total);
}

Indices widening(int64_t total, int64_t first_gap) {
  const int64_t gap = std::min(first_gap, total);
  return below(total, [gap](int64_t j) { return widening_term(j, gap); });
}

Indices widening_to(int64_t total, int64_t first_gap, int64_t count) {
  const int64_t gap = std::min(first_gap, total);
  return scaled(total, count, [gap](int64_t j) { return widening_term(j, gap); });
}

}  // namespace asdm::placement
