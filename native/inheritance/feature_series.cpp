#include "native/inheritance/feature_series.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "native/inheritance/forecast_trust.h"

namespace asdm {
namespace {

/// How far ahead of the last value a forecast goes on, in gaps between the last two; from there on it stands. Modes
/// that guard the start or widen their gaps would else extrapolate several times what was seen.
constexpr double kForecastReach = 1.0;

/// [rows, positions, channels].
at::Tensor by_channel(const at::Tensor& t) { return t.dim() == 4 ? t.permute({0, 2, 3, 1}).flatten(1, 2) : t; }

/// `per_channel` [rows, 1, channels] in the shape that spreads over `like`.
at::Tensor spread_channels(const at::Tensor& per_channel, const at::Tensor& like) {
  return like.dim() == 4 ? per_channel.transpose(1, 2).unsqueeze(-1) : per_channel;
}

/// `per_row` [rows] in the shape that spreads over a tensor of `dimensions`.
at::Tensor spread_rows(const at::Tensor& per_row, int64_t dimensions) {
  std::vector<int64_t> shape(static_cast<size_t>(dimensions), 1);
  shape[0] = per_row.size(0);
  return per_row.view(shape);
}

/// A value of a wider range as `dtype`: what fp16 has no number for stays at its largest.
at::Tensor in_range(const at::Tensor& value, at::ScalarType dtype) {
  if (dtype != at::kHalf) {
    return value.to(dtype);
  }
  const auto largest = static_cast<double>(std::numeric_limits<at::Half>::max());
  return value.to(at::kFloat).clamp(-largest, largest).to(dtype);
}

at::Tensor rows_of(const at::Tensor& t, const RowRange& rows) {
  return !t.defined() || t.size(0) == rows.count ? t : t.narrow(0, rows.first, rows.count);
}

/// The rows of one tensor per part, put together; without a copy for one part.
template <class Pick>
at::Tensor joined(const std::vector<FeatureSeries::Part>& parts, const Pick& pick) {
  std::vector<at::Tensor> pieces;
  pieces.reserve(parts.size());
  for (const FeatureSeries::Part& part : parts) {
    const at::Tensor whole = pick(*part.series);
    if (!whole.defined()) {
      return {};
    }
    pieces.push_back(rows_of(whole, part.rows));
  }
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces, 0);
}

}  // namespace

KeptValue::KeptValue(const at::Tensor& computed, Storage storage) : computed_as(computed.options()) {
  at::TensorOptions form = computed.options();
  if (storage == Storage::kBf16 || storage == Storage::kCpuBf16) {
    form = form.dtype(at::kBFloat16);
  }
  if (storage == Storage::kCpu || storage == Storage::kCpuBf16) {
    form = form.device(at::kCPU);
  }
  value = computed.detach().to(form, /*non_blocking=*/false, /*copy=*/true);
}

KeptValue KeptValue::without_copy(const at::Tensor& given) {
  KeptValue kept;
  kept.value = given;
  kept.computed_as = given.options();
  return kept;
}

void FeatureSeries::clear() {
  snapshots_.clear();
  trust_.reset();
  gain_.reset();
  shift_.reset();
}

void FeatureSeries::push(const KeptValue& kept, const EvaluationPoint& now) {
  if (!empty() && (snapshots_.front().value.sizes() != kept.value.sizes() || rises(newest().sigma, now.sigma))) {
    clear();
  }
  computed_as_ = kept.computed_as;
  // Two values of one time say nothing of a change: the later one replaces the other.
  if (!empty() && time_of(newest()) == time_of(now)) {
    snapshots_.front() = {kept.value, now};
    return;
  }
  if (!empty() && settings_.form == ValueForm::kAffine) {
    learn_affine(restored(kept.value, all_rows()), now);
  } else if (snapshots_.size() > 1) {
    learn_trust(restored(kept.value, all_rows()), now);
  }
  snapshots_.insert(snapshots_.begin(), {kept.value, now});
  const auto limit = static_cast<size_t>(snapshots_of(settings_.form));
  if (snapshots_.size() > limit) {
    snapshots_.resize(limit);
  }
}

at::Tensor FeatureSeries::restored(const at::Tensor& value, const RowRange& rows) const {
  const at::Tensor kept = rows_of(value, rows);
  const at::ScalarType dtype = computed_as_.dtype().toScalarType();
  const bool is_rounded_up = kept.scalar_type() == at::kBFloat16 && dtype == at::kHalf;  // from 65408 on
  return (is_rounded_up ? in_range(kept, dtype) : kept).to(computed_as_);
}

std::vector<double> FeatureSeries::times() const {
  std::vector<double> times;
  for (const Snapshot& snapshot : snapshots_) {
    times.push_back(time_of(snapshot.taken));
  }
  return times;
}

DifferenceWeights FeatureSeries::weights_at(const EvaluationPoint& now) const {
  const std::vector<double> taken = times();
  return newton_weights(taken, std::min(time_of(now), taken[0] + kForecastReach * (taken[0] - taken[1])));
}

bool FeatureSeries::forecasts() const { return snapshots_.size() > 1 || gain_.defined(); }

at::Tensor FeatureSeries::value(const EvaluationPoint& now, const RowRange& rows) const {
  if (!forecasts()) {
    return restored(snapshots_.front().value, rows);
  }
  return settings_.form == ValueForm::kAffine ? affine(now, rows) : taylor(now, rows);
}

/// F0 + trust * (near * (F0 - F1) + far * (F1 - F2)).
at::Tensor FeatureSeries::taylor(const EvaluationPoint& now, const RowRange& rows) const {
  const DifferenceWeights weights = weights_at(now);
  const auto past = [&](size_t i) { return restored(snapshots_[i].value, rows).to(at::kFloat); };
  const at::Tensor newest = past(0);
  const at::Tensor second = past(1);
  const auto scaled = [&](double weight) { return spread_rows(rows_of(trust_, rows), newest.dim()) * weight; };
  at::Tensor forecast = trust_.defined() ? at::lerp(second, newest, scaled(weights.near) + 1.0)
                                         : at::lerp(second, newest, weights.near + 1.0);
  if (weights.far != 0.0) {
    const at::Tensor step = second - past(2);
    forecast = trust_.defined() ? forecast.addcmul_(step, scaled(weights.far)) : forecast.add_(step, weights.far);
  }
  return in_range(forecast, computed_as_.dtype().toScalarType());
}

/// Where a feature does not go on as it went, its forecast falls back to holding it, node by node and row by row.
void FeatureSeries::learn_trust(const at::Tensor& value, const EvaluationPoint& now) {
  const auto past = [&](size_t i) { return restored(snapshots_[i].value, all_rows()); };
  trust_ = forecast_trust(value, past(0), past(1), snapshots_.size() > 2 ? past(2) : at::Tensor(), weights_at(now));
}

/// The affine map of each channel that takes the last value nearest to this one: gain = covariance / variance,
/// shift = the gap that is left between the means. Block Caching trains such a map; here each full evaluation gives it.
void FeatureSeries::learn_affine(const at::Tensor& value, const EvaluationPoint& now) {
  const at::Tensor before = by_channel(restored(snapshots_.front().value, all_rows())).to(at::kFloat);
  const at::Tensor after = by_channel(value).to(at::kFloat);
  const at::Tensor mean_before = before.mean(1, true);
  const at::Tensor mean_after = after.mean(1, true);
  const at::Tensor deviation = before - mean_before;
  const at::Tensor variance = (deviation * deviation).sum(1, true);
  const at::Tensor covariance = (deviation * (after - mean_after)).sum(1, true);
  const at::Tensor gain = covariance / variance;
  gain_ = at::where(gain.isfinite(), gain, at::ones_like(gain));
  shift_ = mean_after - gain_ * mean_before;
  step_ = time_of(now) - time_of(newest());
}

at::Tensor FeatureSeries::affine(const EvaluationPoint& now, const RowRange& rows) const {
  const at::Tensor newest = restored(snapshots_.front().value, rows).to(at::kFloat);
  const double age = time_of(now) - time_of(this->newest());
  const double share = std::min(age / step_, kForecastReach);
  const at::Tensor gain = spread_channels((rows_of(gain_, rows) - 1.0) * share + 1.0, newest);
  const at::Tensor shift = spread_channels(rows_of(shift_, rows) * share, newest);
  return in_range(at::addcmul(shift, newest, gain), computed_as_.dtype().toScalarType());
}

int64_t FeatureSeries::bytes(std::set<const void*>& counted) const {
  int64_t total = 0;
  for (const Snapshot& snapshot : snapshots_) {
    const at::Storage& memory = snapshot.value.storage();
    if (counted.insert(memory.data()).second) {
      total += static_cast<int64_t>(memory.nbytes());
    }
  }
  return total;
}

FeatureSeries FeatureSeries::join(const std::vector<Part>& parts) {
  const FeatureSeries& first = *parts.front().series;
  FeatureSeries series(first.settings_);
  series.computed_as_ = first.computed_as_;
  const bool alike = std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
    return std::equal(first.snapshots_.begin(), first.snapshots_.end(), part.series->snapshots_.begin(),
                      part.series->snapshots_.end(),
                      [](const Snapshot& a, const Snapshot& b) { return a.taken == b.taken; });
  });
  const size_t kept = alike ? first.snapshots_.size() : 1;
  for (size_t i = 0; i < kept; ++i) {
    Snapshot snapshot;
    snapshot.value = joined(parts, [i](const FeatureSeries& from) { return from.snapshots_[i].value; });
    snapshot.taken = first.snapshots_[i].taken;
    for (const Part& part : parts) {
      snapshot.taken = snapshot.taken.earlier(part.series->snapshots_[i].taken);
    }
    series.snapshots_.push_back(std::move(snapshot));
  }
  if (alike) {
    series.trust_ = joined(parts, [](const FeatureSeries& from) { return from.trust_; });
    series.gain_ = joined(parts, [](const FeatureSeries& from) { return from.gain_; });
    series.shift_ = joined(parts, [](const FeatureSeries& from) { return from.shift_; });
    series.step_ = first.step_;
  }
  return series;
}

}  // namespace asdm
