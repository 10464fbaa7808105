// Matrix products and convolutions of one tile: rows of activations against a panel of output channels.
#pragma once

#include "native/layers/avx512/kernels.h"
#include "native/layers/avx512/lanes.h"

namespace asdm::avx512 {

/// x * Phi(x), the exact GELU, with erf after Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7).
static inline __m512 gelu(__m512 x) {
  const __m512 scaled = _mm512_mul_ps(x, _mm512_set1_ps(0.70710678F));
  const __m512 size = _mm512_abs_ps(scaled);
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(size, _mm512_set1_ps(0.3275911F), one));
  __m512 sum = _mm512_set1_ps(1.061405429F);
  constexpr float kSeries[] = {-1.453152027F, 1.421413741F, -0.284496736F, 0.254829592F};
  for (const float coefficient : kSeries) {
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(coefficient));
  }
  const __m512 decay = exp2(_mm512_mul_ps(_mm512_mul_ps(size, size), _mm512_set1_ps(-1.4426950408889634F)));
  const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(sum, t), decay);  // 1 - erf(size)
  // Phi(x) = 1 - tail / 2 for x >= 0, tail / 2 below: no cancellation on either side.
  const __m512 half = _mm512_mul_ps(tail, _mm512_set1_ps(0.5F));
  const __mmask16 below = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  return _mm512_mul_ps(x, _mm512_mask_mov_ps(_mm512_sub_ps(one, half), below, half));
}

template <class Element>
struct ProductTile {
  using Stored = typename Element::Stored;
  static constexpr int64_t kGroup = Element::kGroup;

  static int64_t packing_scratch(int64_t channels, int64_t taps) {
    return taps == 1 || kGroup == 1 ? 0 : kVector * channels / kGroup * taps;
  }

  /// Lanes of one output channel in the order (pair of channels, tap), from bf16 in the order (channel, tap).
  static void interleave_taps(const uint16_t* weight, int64_t channels, int64_t taps, uint32_t* lanes) {
    int64_t c = 0;
    if (taps == 9) {
      alignas(64) uint16_t order[32] = {};
      for (uint16_t t = 0; t < 9; ++t) {
        order[2 * t] = t;
        order[2 * t + 1] = static_cast<uint16_t>(9 + t);
      }
      const __m512i index = _mm512_load_si512(order);
      for (; (channels - c) * 9 >= 32; c += 2, lanes += 9) {
        const __m512i both = _mm512_loadu_si512(weight + c * 9);
        _mm512_mask_storeu_epi32(lanes, 0x1FF, _mm512_permutexvar_epi16(index, both));
      }
    }
    for (; c < channels; c += 2) {
      for (int64_t t = 0; t < taps; ++t) {
        *lanes++ = static_cast<uint32_t>(weight[c * taps + t]) |
                   (static_cast<uint32_t>(weight[(c + 1) * taps + t]) << 16U);
      }
    }
  }

  /// Where the lanes of a channel go in a panel: they come in the order (depth, tap) and lie in the order (tap, depth).
  struct Place {
    uint32_t* panel;
    int64_t depth;
    int64_t taps;
    int64_t tap = 0;
    int64_t d = 0;

    uint32_t* next() {
      uint32_t* here = panel + (tap * depth + d) * kPanel;
      if (++tap == taps) {
        tap = 0;
        ++d;
      }
      return here;
    }
  };

  /// panel[(tap * depth + d) * kPanel + i] = lane (d, tap) of row i, for one half of a panel.
  static void pack_half(const PanelHalf& half, int64_t channels, int64_t taps, uint32_t* panel, uint32_t* scratch) {
    const int64_t depth = channels / kGroup;
    const int64_t lanes = depth * taps;
    const auto* from = static_cast<const uint32_t*>(half.rows);
    if (packing_scratch(channels, taps) != 0) {
      const auto* weight = static_cast<const uint16_t*>(half.rows);
      for (int64_t i = 0; i < half.count; ++i) {
        interleave_taps(weight + i * channels * taps, channels, taps, scratch + i * lanes);
      }
      from = scratch;
    }
    Place place{panel, depth, taps};
    int64_t done = 0;
    if (half.count == kVector) {
      alignas(64) uint32_t block[kVector * kVector];
      for (; done + kVector <= lanes; done += kVector) {
        transpose(from + done, lanes, block, kVector);
        for (int64_t i = 0; i < kVector; ++i) {
          _mm512_storeu_si512(place.next(), _mm512_load_si512(block + i * kVector));
        }
      }
    }
    for (; done < lanes; ++done) {
      uint32_t* to = place.next();
      for (int64_t i = 0; i < kVector; ++i) {
        to[i] = i < half.count ? lane_at(from + i * lanes + done) : 0;
      }
    }
  }

  static void pack(const PanelHalf (&halves)[2], int64_t channels, int64_t taps, uint32_t* panel, uint32_t* scratch) {
    pack_half(halves[0], channels, taps, panel, scratch);
    pack_half(halves[1], channels, taps, panel + kVector, scratch);
  }

  static void multiply_rows(const void* const* rows, int64_t offset, const uint32_t* panel, int64_t depth, float* sums,
                            bool first) {
    __m512 acc[kTileRows][2];
    const uint32_t* row[kTileRows];
#pragma GCC unroll 12
    for (int64_t r = 0; r < kTileRows; ++r) {
      row[r] = static_cast<const uint32_t*>(rows[r]) + offset;
      acc[r][0] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * kPanel);
      acc[r][1] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * kPanel + kVector);
    }
    for (int64_t d = 0; d < depth; ++d) {
      const __m512i low = _mm512_loadu_si512(panel + d * kPanel);
      const __m512i high = _mm512_loadu_si512(panel + d * kPanel + kVector);
#pragma GCC unroll 12
      for (int64_t r = 0; r < kTileRows; ++r) {
        const __m512i value = _mm512_set1_epi32(static_cast<int>(row[r][d]));
        acc[r][0] = Element::multiply_add(acc[r][0], value, low);
        acc[r][1] = Element::multiply_add(acc[r][1], value, high);
      }
    }
#pragma GCC unroll 12
    for (int64_t r = 0; r < kTileRows; ++r) {
      _mm512_storeu_ps(sums + r * kPanel, acc[r][0]);
      _mm512_storeu_ps(sums + r * kPanel + kVector, acc[r][1]);
    }
  }

  static void finish(const float* sums, const FinishRow* rows, int64_t count, int64_t columns) {
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t column = 0; column < columns; column += kVector) {
        const __mmask16 mask = first_lanes(columns - column);
        __m512 value = _mm512_loadu_ps(sums + r * kPanel + column);
        if (rows[r].bias != nullptr) {
          value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, rows[r].bias + column));
        }
        if (rows[r].residual != nullptr) {
          value = _mm512_add_ps(value, Element::load(static_cast<const Stored*>(rows[r].residual) + column, mask));
        }
        Element::store(static_cast<Stored*>(rows[r].out) + column, mask, value);
      }
    }
  }

  static void finish_gated(const float* sums, const FinishRow* rows, int64_t count, int64_t columns) {
    const __mmask16 mask = first_lanes(columns);
    for (int64_t r = 0; r < count; ++r) {
      __m512 value = _mm512_loadu_ps(sums + r * kPanel);
      __m512 gate = _mm512_loadu_ps(sums + r * kPanel + kVector);
      if (rows[r].bias != nullptr) {
        value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, rows[r].bias));
        gate = _mm512_add_ps(gate, _mm512_maskz_loadu_ps(mask, rows[r].gate_bias));
      }
      Element::store(static_cast<Stored*>(rows[r].out), mask, _mm512_mul_ps(value, gelu(gate)));
    }
  }
};

}  // namespace asdm::avx512
