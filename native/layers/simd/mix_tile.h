// The weighted sum of several weights.
#pragma once

#include "native/layers/simd/kernels.h"
#include "native/layers/simd/lanes.h"

namespace asdm::simd::ASDM_SIMD {

/// Rows of weights.
template <class Stored>
struct WeightRows {
  const Stored* first;
  int64_t stride;  ///< elements
};

template <class Element>
struct MixTile {
  using Stored = typename Element::Stored;

  static void mix(const void* const* parts, int64_t offset, const float* shares, int64_t count, int64_t length,
                  void* out) {
    auto* to = static_cast<Stored*>(out);
    int64_t i = 0;
    for (; i + kAtOnce * kVector <= length; i += kAtOnce * kVector) {
      sum_vectors<kAtOnce>(parts, offset + i, shares, count, first_lanes(kVector), to + i);
    }
    for (; i < length; i += kVector) {
      sum_vectors<1>(parts, offset + i, shares, count, first_lanes(length - i), to + i);
    }
  }

  static constexpr int kAtOnce = 3;  ///< vectors; sums of nine taps of sixteen channels are nine

  template <int kVectors>
  static void sum_vectors(const void* const* parts, int64_t offset, const float* shares, int64_t count, Mask mask,
                          Stored* to) {
    Vec sums[kVectors];
#pragma GCC unroll 8
    for (Vec& sum : sums) {
      sum = zero();
    }
    for (int64_t p = 0; p < count; ++p) {
      const auto* from = static_cast<const Stored*>(parts[p]) + offset;
      const Vec share = splat(shares[p]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sums[v] = fmadd(Element::load(from + v * kVector, mask), share, sums[v]);
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      Element::store(to + v * kVector, mask, sums[v]);
    }
  }

  /// Elements [from, from + length) of the rows of a half, `row` long: where they lie, or one kernel's sums in `sums`.
  /// So few at a time that the experts' stay in the first caches while all kernels are summed.
  static WeightRows<Stored> rows(const PanelWeights& weights, const PanelHalf& half, int64_t kernel, int64_t row,
                                 int64_t from, int64_t length, Stored* sums) {
    if (weights.shares == nullptr) {
      return {static_cast<const Stored*>(weights.experts[0]) + half.first * row + from, row};
    }
    for (int64_t i = 0; i < half.count; ++i) {
      mix(weights.experts, (half.first + i) * row + from, weights.shares + kernel * weights.expert_count,
          weights.expert_count, length, sums + i * length);
    }
    return {sums, length};
  }
};

}  // namespace asdm::simd::ASDM_SIMD
