// GroupNorm and SiLU on pixels whose channels lie together.
#pragma once

#include "native/layers/avx512/kernels.h"
#include "native/layers/avx512/lanes.h"

namespace asdm::avx512 {

/// y * sigmoid(y).
static inline __m512 silu(__m512 y) {
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 decay = exp2(_mm512_mul_ps(_mm512_abs_ps(y), _mm512_set1_ps(-1.4426950408889634F)));
  const __mmask16 below = _mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_LT_OQ);
  const __m512 top = _mm512_mask_mov_ps(one, below, decay);
  return _mm512_div_ps(_mm512_mul_ps(y, top), _mm512_add_ps(one, decay));
}

template <class Element>
struct NormTile {
  using Stored = typename Element::Stored;

  static void channel_sums(const void* x, int64_t pixels, int64_t channels, const float* pivot, float* sums,
                           float* squares) {
    const auto* from = static_cast<const Stored*>(x);
    for (int64_t c = 0; c < channels; c += kVector) {
      const __mmask16 mask = first_lanes(channels - c);
      const __m512 shift = _mm512_maskz_loadu_ps(mask, pivot + c);
      __m512 sum = _mm512_setzero_ps();
      __m512 square = _mm512_setzero_ps();
      for (int64_t p = 0; p < pixels; ++p) {
        const __m512 value = _mm512_sub_ps(Element::load(from + p * channels + c, mask), shift);
        sum = _mm512_add_ps(sum, value);
        square = _mm512_fmadd_ps(value, value, square);
      }
      _mm512_mask_storeu_ps(sums + c, mask, sum);
      _mm512_mask_storeu_ps(squares + c, mask, square);
    }
  }

  static void scale_shift(const void* x, void* out, int64_t pixels, int64_t channels, const float* scale,
                          const float* shift, bool with_silu) {
    const auto* from = static_cast<const Stored*>(x);
    auto* to = static_cast<Stored*>(out);
    for (int64_t p = 0; p < pixels; ++p, from += channels, to += channels) {
      for (int64_t c = 0; c < channels; c += kVector) {
        const __mmask16 mask = first_lanes(channels - c);
        const __m512 value = _mm512_fmadd_ps(Element::load(from + c, mask), _mm512_maskz_loadu_ps(mask, scale + c),
                                             _mm512_maskz_loadu_ps(mask, shift + c));
        Element::store(to + c, mask, with_silu ? silu(value) : value);
      }
    }
  }
};

}  // namespace asdm::avx512
