// Matrix products and convolutions of one tile: rows of activations against a panel of output channels.
#pragma once

#include <type_traits>

#include "native/layers/simd/kernels.h"
#include "native/layers/simd/lanes.h"
#include "native/layers/simd/mix_tile.h"

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

/// `kDepthStep` as Kernels has it.
template <class Element, int64_t kDepthStep = 1>
struct ProductTile {
  using Stored = typename Element::Stored;
  static constexpr int64_t kGroup = Element::kGroup;
  static constexpr int64_t kTileRows = 12;

  /// Channels that are summed or interleaved at a time: their rows stay in the first caches.
  static constexpr int64_t kSomeChannels = 2 * kVector;

  static int64_t packing_scratch(int64_t taps) {
    return kVector * kSomeChannels * taps * 2;  // sums, which are no wider than a lane, and interleaved rows
  }

#ifdef __AVX512BF16__
  /// Lanes of one output channel in the order (pair of channels, tap), from bf16 in the order (channel, tap).
  static void interleave_taps(const uint16_t* weight, int64_t channels, int64_t taps, uint32_t* lanes) {
    if (taps == 9) {
      alignas(64) uint16_t order[32] = {};
      for (uint16_t t = 0; t < 9; ++t) {
        order[2 * t] = t;
        order[2 * t + 1] = static_cast<uint16_t>(9 + t);
      }
      const Bits index = _mm512_load_si512(order);
      for (int64_t c = 0; c < channels; c += 2, lanes += 9) {
        const Bits both = _mm512_maskz_loadu_epi16(0x3FFFF, weight + c * 9);
        store_bits_first(lanes, 0x1FF, _mm512_permutexvar_epi16(index, both));
      }
      return;
    }
    for (int64_t c = 0; c < channels; c += 2) {
      for (int64_t t = 0; t < taps; ++t) {
        *lanes++ =
            static_cast<uint32_t>(weight[c * taps + t]) | (static_cast<uint32_t>(weight[(c + 1) * taps + t]) << 16U);
      }
    }
  }
#endif

  /// Where the lanes of a channel go in a panel: they come in the order (depth, tap) and lie in the order (tap, depth).
  struct Place {
    uint32_t* panel;
    int64_t depth;
    int64_t taps;
    int64_t d = 0;
    int64_t tap = 0;

    uint32_t* next() {
      uint32_t* here = panel + (tap * depth + d) * kPanel;
      if (++tap == taps) {
        tap = 0;
        ++d;
      }
      return here;
    }
  };

  /// The lanes of a row in the order (depth, tap), `stride` lanes from row to row: where they lie, or in `scratch`.
  static WeightRows<uint32_t> in_lanes(const WeightRows<Stored>& rows, [[maybe_unused]] int64_t count,
                                       [[maybe_unused]] int64_t channels, [[maybe_unused]] int64_t taps,
                                       [[maybe_unused]] uint32_t* scratch) {
#ifdef __AVX512BF16__
    if constexpr (kGroup == 2) {
      if (taps > 1) {
        const int64_t lanes = channels / kGroup * taps;
        for (int64_t i = 0; i < count; ++i) {
          interleave_taps(rows.first + i * rows.stride, channels, taps, scratch + i * lanes);
        }
        return {scratch, lanes};
      }
    }
#endif
    return {reinterpret_cast<const uint32_t*>(rows.first), rows.stride / kGroup};
  }

  /// panel[(tap * depth + d) * kPanel + i] = lane (d, tap) of row i, for `lanes` lanes of `count` rows.
  static void place_rows(const WeightRows<uint32_t>& rows, int64_t count, int64_t lanes, Place place) {
    int64_t done = 0;
    if (count == kVector && place.taps == 1) {
      for (; done + kVector <= lanes; done += kVector, place.d += kVector) {
        transpose(rows.first + done, rows.stride, place.panel + place.d * kPanel, kPanel);
      }
    } else if (count == kVector) {
      alignas(64) uint32_t block[kVector * kVector];
      for (; done + kVector <= lanes; done += kVector) {
        transpose(rows.first + done, rows.stride, block, kVector);
        for (int64_t i = 0; i < kVector; ++i) {
          store_bits(place.next(), load_bits(block + i * kVector));
        }
      }
    }
    for (; done < lanes; ++done) {
      uint32_t* to = place.next();
      for (int64_t i = 0; i < kVector; ++i) {
        to[i] = i < count ? lane_at(rows.first + i * rows.stride + done) : 0;
      }
    }
  }

  static void pack(const PanelWeights& weights, int64_t channels, int64_t taps, const Panels& panels,
                   uint32_t* scratch) {
    const bool as_it_lies = weights.shares == nullptr && (kGroup == 1 || taps == 1);
    const int64_t step = as_it_lies ? channels : kSomeChannels;
    auto* sums = reinterpret_cast<Stored*>(scratch + kVector * kSomeChannels * taps);
    const int64_t depth = round_up(channels / kGroup, kDepthStep);
    for (int64_t h = 0; h < 2; ++h) {
      const PanelHalf& half = weights.halves[h];
      for (int64_t c = 0; c < channels; c += step) {
        const int64_t some = channels - c < step ? channels - c : step;
        for (int64_t kernel = 0; kernel < weights.kernels; ++kernel) {
          const auto rows = MixTile<Element>::rows(weights, half, kernel, channels * taps, c * taps, some * taps, sums);
          uint32_t* panel = panels.first + kernel * panels.stride + h * kVector;
          place_rows(in_lanes(rows, half.count, some, taps, scratch), half.count, some / kGroup * taps,
                     Place{panel, depth, taps, c / kGroup});
        }
      }
    }
    for (int64_t kernel = 0; kernel < weights.kernels && depth > channels / kGroup; ++kernel) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        uint32_t* rest = panels.first + kernel * panels.stride + (tap * depth + channels / kGroup) * kPanel;
        std::memset(rest, 0, static_cast<size_t>((depth - channels / kGroup) * kPanel) * sizeof(uint32_t));
      }
    }
  }

  static void multiply_part(const RowsPart& rows, const PanelsPart& panels, float* sums, int64_t sums_stride,
                            bool first, uint32_t* /*scratch*/) {
    for (int64_t tap = 0; tap < rows.taps; ++tap) {
      for (int64_t p = 0; p < panels.count; ++p) {
        multiply_tap(rows, tap, panels.first + p * panels.panel_stride + tap * panels.tap_stride,
                     sums + p * sums_stride, first && tap == 0);
      }
    }
  }

  static void finish(const float* sums, const FinishRows& rows) {
    if (rows.columns == kPanel && rows.bias != nullptr && rows.residual == nullptr) {
      finish_biased(sums, rows);
      return;
    }
    for (int64_t r = 0; r < rows.count; ++r) {
      for (int64_t column = 0; column < rows.columns; column += kVector) {
        const Mask mask = first_lanes(rows.columns - column);
        Vec value = load(sums + r * kPanel + column);
        if (rows.bias != nullptr) {
          value = add(value, load_first(rows.bias + column, mask));
        }
        if (rows.residual != nullptr) {
          value = add(value, Element::load(row_at<const Stored>(rows.residual, r, rows) + column, mask));
        }
        Element::store(row_at<Stored>(rows.out, r, rows) + column, mask, value);
      }
    }
  }

  static void finish_wide(const float* sums, const FinishRows& rows) {
    for (int64_t r = 0; r < rows.count; ++r) {
      for (int64_t column = 0; column < rows.columns; column += kVector) {
        store_first(row_at<float>(rows.out, r, rows) + column, first_lanes(rows.columns - column),
                    load(sums + r * kPanel + column));
      }
    }
  }

  static void finish_gated(const float* sums, const FinishRows& rows) {
    const Mask mask = first_lanes(rows.columns);
    const bool biased = rows.bias != nullptr;
    const Vec bias = biased ? load_first(rows.bias, mask) : zero();
    const Vec gate_bias = biased ? load_first(rows.gate_bias, mask) : zero();
    for (int64_t r = 0; r < rows.count; ++r) {
      const Vec value = add(load(sums + r * kPanel), bias);
      const Vec gate = add(load(sums + r * kPanel + kVector), gate_bias);
      Element::store(row_at<Stored>(rows.out, r, rows), mask, mul(value, gelu(gate)));
    }
  }

 private:
  template <class Value>
  static Value* row_at(std::conditional_t<std::is_const_v<Value>, const void*, void*> first, int64_t row,
                       const FinishRows& rows) {
    using Byte = std::conditional_t<std::is_const_v<Value>, const char, char>;
    return reinterpret_cast<Value*>(static_cast<Byte*>(first) + row * rows.out_stride);
  }

  /// What most are: whole rows, and a bias.
  static void finish_biased(const float* sums, const FinishRows& rows) {
    const Vec low = load(rows.bias);
    const Vec high = load(rows.bias + kVector);
    for (int64_t r = 0; r < rows.count; ++r) {
      Element::store_panel(row_at<Stored>(rows.out, r, rows), add(load(sums + r * kPanel), low),
                           add(load(sums + r * kPanel + kVector), high));
    }
  }

  /// What is left of a tile where rows end: two chains of sums to a row still keep the units busy.
  static constexpr int kFewRowsAtOnce = 4;

  /// One tap with one panel. Rows past the last are not multiplied, tile by tile.
  static void multiply_tap(const RowsPart& part, int64_t tap, const uint32_t* panel, float* sums, bool first) {
    const void* const* rows = part.rows + tap * part.tap_stride;
    for (int64_t from = 0; from < part.count; from += kRowsAtOnce) {
      for (int64_t column = 0; column < kPanel; column += kVectorsAtOnce * kVector) {
        const bool few = part.count - from <= kFewRowsAtOnce;
        const auto block = few ? &multiply_block<kFewRowsAtOnce> : &multiply_block<kRowsAtOnce>;
        block(rows + from, part.offset, panel + column, part.depth, sums + from * kPanel + column, first);
      }
    }
  }

  /// As many rows and columns as the registers hold, or fewer rows.
  template <int kRows>
  static void multiply_block(const void* const* rows, int64_t offset, const uint32_t* panel, int64_t depth, float* sums,
                             bool first) {
    Vec acc[kRows][kVectorsAtOnce];
    const uint32_t* row[kRows];
#pragma GCC unroll 12
    for (int64_t r = 0; r < kRows; ++r) {
      row[r] = static_cast<const uint32_t*>(rows[r]) + offset;
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectorsAtOnce; ++v) {
        acc[r][v] = zero();  // what was summed before is added last: shorter sums round less
      }
    }
    multiply<Element>([&](int64_t r, int64_t d) { return row[r][d]; }, panel, kPanel, depth, acc);
#pragma GCC unroll 12
    for (int64_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectorsAtOnce; ++v) {
        float* to = sums + r * kPanel + v * kVector;
        store(to, first ? acc[r][v] : add(load(to), acc[r][v]));
      }
    }
  }
};

}  // namespace asdm::simd::ASDM_SIMD
