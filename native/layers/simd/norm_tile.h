// GroupNorm and SiLU on pixels whose channels lie together.
#pragma once

#include "native/layers/simd/kernels.h"
#include "native/layers/simd/lanes.h"

namespace asdm::simd::ASDM_SIMD {

/// y * sigmoid(y).
static inline Vec silu(Vec y) {
  const Vec one = splat(1.0F);
  const Vec decay = exp2(mul(abs(y), splat(-1.4426950408889634F)));
  const Vec top = select_negative(y, decay, one);
  return div(mul(y, top), add(one, decay));
}

template <class Element>
struct NormTile {
  using Stored = typename Element::Stored;

  static void channel_sums(const void* x, int64_t pixels, int64_t channels, const float* pivot, float* sums,
                           float* squares) {
    const auto* from = static_cast<const Stored*>(x);
    for (int64_t c = 0; c < channels; c += kVector) {
      const Mask mask = first_lanes(channels - c);
      const Vec shift = load_first(pivot + c, mask);
      Vec sum = zero();
      Vec square = zero();
      for (int64_t p = 0; p < pixels; ++p) {
        const Vec value = sub(Element::load(from + p * channels + c, mask), shift);
        sum = add(sum, value);
        square = fmadd(value, value, square);
      }
      store_first(sums + c, mask, sum);
      store_first(squares + c, mask, square);
    }
  }

  static void scale_shift(const void* x, void* out, int64_t pixels, int64_t channels, const float* scale,
                          const float* shift, bool with_silu) {
    const auto* from = static_cast<const Stored*>(x);
    auto* to = static_cast<Stored*>(out);
    for (int64_t p = 0; p < pixels; ++p, from += channels, to += channels) {
      for (int64_t c = 0; c < channels; c += kVector) {
        const Mask mask = first_lanes(channels - c);
        const Vec value =
            fmadd(Element::load(from + c, mask), load_first(scale + c, mask), load_first(shift + c, mask));
        Element::store(to + c, mask, with_silu ? silu(value) : value);
      }
    }
  }
};

}  // namespace asdm::simd::ASDM_SIMD
