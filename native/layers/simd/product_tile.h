// Matrix products and convolutions of one tile: rows of activations against a panel of output channels.
#pragma once

#include "native/layers/simd/kernels.h"
#include "native/layers/simd/lanes.h"

namespace asdm::simd::ASDM_SIMD {

/// x * Phi(x), the exact GELU, with erf after Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7).
static inline Vec gelu(Vec x) {
  const Vec scaled = mul(x, splat(0.70710678F));
  const Vec size = abs(scaled);
  const Vec one = splat(1.0F);
  const Vec t = div(one, fmadd(size, splat(0.3275911F), one));
  Vec sum = splat(1.061405429F);
  constexpr float kSeries[] = {-1.453152027F, 1.421413741F, -0.284496736F, 0.254829592F};
  for (const float coefficient : kSeries) {
    sum = fmadd(sum, t, splat(coefficient));
  }
  const Vec decay = exp2(mul(mul(size, size), splat(-1.4426950408889634F)));
  const Vec tail = mul(mul(sum, t), decay);  // 1 - erf(size)
  // Phi(x) = 1 - tail / 2 for x >= 0, tail / 2 below: no cancellation on either side.
  const Vec half = mul(tail, splat(0.5F));
  return mul(x, select_negative(x, half, sub(one, half)));
}

template <class Element>
struct ProductTile {
  using Stored = typename Element::Stored;
  static constexpr int64_t kGroup = Element::kGroup;

  static int64_t packing_scratch(int64_t channels, int64_t taps) {
    return taps == 1 || kGroup == 1 ? 0 : kVector * channels / kGroup * taps;
  }

#ifdef __AVX512BF16__
  /// Lanes of one output channel in the order (pair of channels, tap), from bf16 in the order (channel, tap).
  static void interleave_taps(const uint16_t* weight, int64_t channels, int64_t taps, uint32_t* lanes) {
    int64_t c = 0;
    if (taps == 9) {
      alignas(64) uint16_t order[32] = {};
      for (uint16_t t = 0; t < 9; ++t) {
        order[2 * t] = t;
        order[2 * t + 1] = static_cast<uint16_t>(9 + t);
      }
      const Bits index = _mm512_load_si512(order);
      for (; (channels - c) * 9 >= 32; c += 2, lanes += 9) {
        const Bits both = _mm512_loadu_si512(weight + c * 9);
        store_bits_first(lanes, 0x1FF, _mm512_permutexvar_epi16(index, both));
      }
    }
    for (; c < channels; c += 2) {
      for (int64_t t = 0; t < taps; ++t) {
        *lanes++ = static_cast<uint32_t>(weight[c * taps + t]) |
                   (static_cast<uint32_t>(weight[(c + 1) * taps + t]) << 16U);
      }
    }
  }
#endif

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
  static void pack_half(const PanelHalf& half, int64_t channels, int64_t taps, uint32_t* panel,
                        [[maybe_unused]] uint32_t* scratch) {
    const int64_t depth = channels / kGroup;
    const int64_t lanes = depth * taps;
    const auto* from = static_cast<const uint32_t*>(half.rows);
#ifdef __AVX512BF16__
    if (packing_scratch(channels, taps) != 0) {
      const auto* weight = static_cast<const uint16_t*>(half.rows);
      for (int64_t i = 0; i < half.count; ++i) {
        interleave_taps(weight + i * channels * taps, channels, taps, scratch + i * lanes);
      }
      from = scratch;
    }
#endif
    Place place{panel, depth, taps};
    int64_t done = 0;
    if (half.count == kVector) {
      alignas(64) uint32_t block[kVector * kVector];
      for (; done + kVector <= lanes; done += kVector) {
        transpose(from + done, lanes, block, kVector);
        for (int64_t i = 0; i < kVector; ++i) {
          store_bits(place.next(), load_bits(block + i * kVector));
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
    for (int64_t from = 0; from < kTileRows; from += kRowsAtOnce) {
      for (int64_t column = 0; column < kPanel; column += kVectorsAtOnce * kVector) {
        multiply_block(rows + from, offset, panel + column, depth, sums + from * kPanel + column, first);
      }
    }
  }

  static void finish(const float* sums, const FinishRow* rows, int64_t count, int64_t columns) {
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t column = 0; column < columns; column += kVector) {
        const Mask mask = first_lanes(columns - column);
        Vec value = load(sums + r * kPanel + column);
        if (rows[r].bias != nullptr) {
          value = add(value, load_first(rows[r].bias + column, mask));
        }
        if (rows[r].residual != nullptr) {
          value = add(value, Element::load(static_cast<const Stored*>(rows[r].residual) + column, mask));
        }
        Element::store(static_cast<Stored*>(rows[r].out) + column, mask, value);
      }
    }
  }

  static void finish_gated(const float* sums, const FinishRow* rows, int64_t count, int64_t columns) {
    const Mask mask = first_lanes(columns);
    for (int64_t r = 0; r < count; ++r) {
      Vec value = load(sums + r * kPanel);
      Vec gate = load(sums + r * kPanel + kVector);
      if (rows[r].bias != nullptr) {
        value = add(value, load_first(rows[r].bias, mask));
        gate = add(gate, load_first(rows[r].gate_bias, mask));
      }
      Element::store(static_cast<Stored*>(rows[r].out), mask, mul(value, gelu(gate)));
    }
  }

 private:
  /// As many rows and columns as the registers hold.
  static void multiply_block(const void* const* rows, int64_t offset, const uint32_t* panel, int64_t depth,
                             float* sums, bool first) {
    Vec acc[kRowsAtOnce][kVectorsAtOnce];
    const uint32_t* row[kRowsAtOnce];
#pragma GCC unroll 12
    for (int64_t r = 0; r < kRowsAtOnce; ++r) {
      row[r] = static_cast<const uint32_t*>(rows[r]) + offset;
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectorsAtOnce; ++v) {
        acc[r][v] = first ? zero() : load(sums + r * kPanel + v * kVector);
      }
    }
    multiply<Element>([&](int64_t r, int64_t d) { return row[r][d]; }, panel, kPanel, depth, acc);
#pragma GCC unroll 12
    for (int64_t r = 0; r < kRowsAtOnce; ++r) {
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectorsAtOnce; ++v) {
        store(sums + r * kPanel + v * kVector, acc[r][v]);
      }
    }
  }
};

}  // namespace asdm::simd::ASDM_SIMD
