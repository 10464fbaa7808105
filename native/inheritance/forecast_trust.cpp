#include "native/inheritance/forecast_trust.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace asdm {
namespace {

/// Numbers that are summed in fp32 before they go to fp64; also what one thread takes at a time.
constexpr int64_t kRun = 4096;

/// Whether the rows of `t` lie one after the other, in the order of `like`.
bool rows_lie_like(const at::Tensor& t, const at::Tensor& like) {
  return t.device().is_cpu() && t.scalar_type() == like.scalar_type() && t.sizes() == like.sizes() &&
         t.strides() == like.strides() && t.is_non_overlapping_and_dense() && t.size(0) > 0 &&
         t.stride(0) == t.numel() / t.size(0);
}

struct Sums {
  double along = 0.0;
  double length = 0.0;
};

template <class T>
Sums sums_of(const T* fresh, const T* newest, const T* second, const T* third, int64_t count, float near, float far) {
  float along = 0.0F;
  float length = 0.0F;
#pragma omp simd reduction(+ : along, length)
  for (int64_t i = 0; i < count; ++i) {
    const auto last = static_cast<float>(newest[i]);
    const auto before = static_cast<float>(second[i]);
    const float step = near * (last - before) + far * (before - static_cast<float>(third[i]));
    along += (static_cast<float>(fresh[i]) - last) * step;
    length += step * step;
  }
  return {along, length};
}

float share_of(const Sums& sums) {
  const double share = sums.along / sums.length;
  return std::isfinite(share) ? static_cast<float>(std::clamp(share, 0.0, 1.0)) : 0.0F;
}

template <class T>
at::Tensor trust_on_cpu(const at::Tensor& fresh, const at::Tensor& newest, const at::Tensor& second,
                        const at::Tensor& third, const DifferenceWeights& weights) {
  const int64_t rows = fresh.size(0);
  const int64_t numbers = fresh.numel() / rows;
  const int64_t runs = (numbers + kRun - 1) / kRun;
  std::vector<Sums> parts(static_cast<size_t>(rows * runs));  // fixed parts: the same sum for any number of threads
  at::parallel_for(0, rows * runs, 8, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part % runs * kRun;
      const int64_t at = part / runs * numbers + first;
      parts[static_cast<size_t>(part)] =
          sums_of(fresh.const_data_ptr<T>() + at, newest.const_data_ptr<T>() + at, second.const_data_ptr<T>() + at,
                  third.const_data_ptr<T>() + at, std::min(kRun, numbers - first), static_cast<float>(weights.near),
                  static_cast<float>(weights.far));
    }
  });
  at::Tensor trust = at::zeros({rows}, fresh.options().dtype(at::kFloat));
  for (int64_t row = 0; row < rows; ++row) {
    Sums sums;
    for (int64_t run = 0; run < runs; ++run) {
      const Sums& part = parts[static_cast<size_t>(row * runs + run)];
      sums.along += part.along;
      sums.length += part.length;
    }
    trust.mutable_data_ptr<float>()[row] = share_of(sums);
  }
  return trust;
}

at::Tensor trust_anywhere(const at::Tensor& fresh, const at::Tensor& newest, const at::Tensor& second,
                          const at::Tensor& third, const DifferenceWeights& weights) {
  // In fp32 from the first difference on: squares of fp16 overflow from 256 on.
  at::Tensor step = (newest.to(at::kFloat) - second) * weights.near;
  if (weights.far != 0.0) {
    step.add_(second.to(at::kFloat) - third, weights.far);
  }
  const auto along = [&](const at::Tensor& other) { return (step * other).flatten(1).sum(1); };
  const at::Tensor share = along(fresh.to(at::kFloat) - newest) / along(step);
  return at::where(share.isfinite(), share, at::zeros_like(share)).clamp_(0.0, 1.0);
}

}  // namespace

at::Tensor forecast_trust(const at::Tensor& fresh, const at::Tensor& newest, const at::Tensor& second,
                          const at::Tensor& third, const DifferenceWeights& weights) {
  const at::Tensor& farthest = weights.far == 0.0 ? second : third;
  if (!rows_lie_like(fresh, fresh) || !rows_lie_like(newest, fresh) || !rows_lie_like(second, fresh) ||
      !rows_lie_like(farthest, fresh)) {
    return trust_anywhere(fresh, newest, second, farthest, weights);
  }
  switch (fresh.scalar_type()) {
    case at::kFloat:
      return trust_on_cpu<float>(fresh, newest, second, farthest, weights);
    case at::kBFloat16:
      return trust_on_cpu<at::BFloat16>(fresh, newest, second, farthest, weights);
    case at::kHalf:
      return trust_on_cpu<at::Half>(fresh, newest, second, farthest, weights);
    default:
      return trust_anywhere(fresh, newest, second, farthest, weights);
  }
}

}  // namespace asdm
