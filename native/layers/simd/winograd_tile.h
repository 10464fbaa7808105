// Winograd's minimal filtering F(2x2, 3x3) in fp32 (Lavin and Gray, arXiv 1509.09308): 16 products for the 36 of
// four outputs of a 3x3 convolution. Positions count the 4x4 transformed tile row by row.
#pragma once

#include "native/layers/simd/kernels.h"
#include "native/layers/simd/lanes.h"
#include "native/layers/simd/mix_tile.h"

namespace asdm::simd::ASDM_SIMD {

struct WinogradTile {
  static constexpr int64_t kPositions = 16;
  static constexpr int64_t kTaps = 9;

  static void inputs(const void* const* pixels, int64_t channels, float* out, int64_t position_stride) {
    for (int64_t c = 0; c < channels; c += kVector) {
      Vec rows[4][4];
#pragma GCC unroll 4
      for (int64_t x = 0; x < 4; ++x) {
        const auto pixel = [=](int64_t y) { return load(static_cast<const float*>(pixels[y * 4 + x]) + c); };
        const Vec d0 = pixel(0);
        const Vec d1 = pixel(1);
        const Vec d2 = pixel(2);
        const Vec d3 = pixel(3);
        rows[0][x] = sub(d0, d2);
        rows[1][x] = add(d1, d2);
        rows[2][x] = sub(d2, d1);
        rows[3][x] = sub(d1, d3);
      }
#pragma GCC unroll 4
      for (int64_t y = 0; y < 4; ++y) {
        float* to = out + y * 4 * position_stride + c;
        store(to, sub(rows[y][0], rows[y][2]));
        store(to + position_stride, add(rows[y][1], rows[y][2]));
        store(to + 2 * position_stride, sub(rows[y][2], rows[y][1]));
        store(to + 3 * position_stride, sub(rows[y][1], rows[y][3]));
      }
    }
  }

  /// G g of one column of a kernel.
  static void spread(const Vec (&g)[3], Vec (&out)[4]) {
    const Vec half = splat(0.5F);
    const Vec ends = mul(add(g[0], g[2]), half);
    const Vec middle = mul(g[1], half);
    out[0] = g[0];
    out[1] = add(ends, middle);
    out[2] = sub(ends, middle);
    out[3] = g[2];
  }

  /// One channel of 16 output channels: taps [9][16] -> the 16 positions of the panel, `stride` apart.
  template <bool kLater>
  static void weights_of_channel(const uint32_t* taps, float* panel, int64_t stride) {
    Vec columns[3][4];
#pragma GCC unroll 3
    for (int64_t x = 0; x < 3; ++x) {
      const auto tap = [=](int64_t y) { return as_floats(load_bits(taps + (3 * y + x) * kVector)); };
      const Vec g[3] = {tap(0), tap(1), tap(2)};
      spread(g, columns[x]);
    }
#pragma GCC unroll 4
    for (int64_t y = 0; y < 4; ++y) {
      const Vec g[3] = {columns[0][y], columns[1][y], columns[2][y]};
      Vec row[4];
      spread(g, row);
#pragma GCC unroll 4
      for (int64_t x = 0; x < 4; ++x) {
        float* to = panel + (y * 4 + x) * stride;
        if constexpr (kLater) {
          stream(to, row[x]);
        } else {
          store(to, row[x]);
        }
      }
    }
  }

  static void pack(const PanelWeights& weights, int64_t channels, const Panels& panels) {
    alignas(64) float sums[kTaps * kVector * kVector];
    alignas(64) uint32_t taps[kTaps * kVector * kVector];
    for (int64_t h = 0; h < 2; ++h) {
      const PanelHalf& half = weights.halves[h];
      for (int64_t c = 0; c < channels; c += kVector) {
        for (int64_t kernel = 0; kernel < weights.kernels; ++kernel) {
          auto* to = reinterpret_cast<float*>(panels.first + kernel * panels.stride) + h * kVector;
          if (half.count == kVector) {
            const auto rows =
                MixTile<Fp32>::rows(weights, half, kernel, channels * kTaps, c * kTaps, kVector * kTaps, sums);
            const auto* from = reinterpret_cast<const uint32_t*>(rows.first);
            for (int64_t i = 0; i < kTaps; ++i) {
              transpose(from + i * kVector, rows.stride, taps + i * kVector * kVector, kVector);
            }
          } else {
            std::memset(taps, 0, sizeof(taps));
          }
          const auto transform = kernel == 0 ? &weights_of_channel<false> : &weights_of_channel<true>;
          for (int64_t i = 0; i < kVector; ++i) {
            transform(taps + i * kTaps * kVector, to + (c + i) * kPanel, channels * kPanel);
          }
        }
      }
    }
  }

  static void outputs(const float* sums, int64_t position_stride, const FinishRow (&rows)[4], int64_t columns) {
    for (int64_t column = 0; column < columns; column += kVector) {
      const Mask mask = first_lanes(columns - column);
      Vec across[4][2];
#pragma GCC unroll 4
      for (int64_t y = 0; y < 4; ++y) {
        const float* from = sums + y * 4 * position_stride + column;
        const Vec m0 = load(from);
        const Vec m1 = load(from + position_stride);
        const Vec m2 = load(from + 2 * position_stride);
        const Vec m3 = load(from + 3 * position_stride);
        across[y][0] = add(m0, add(m1, m2));
        across[y][1] = sub(sub(m1, m2), m3);
      }
#pragma GCC unroll 2
      for (int64_t x = 0; x < 2; ++x) {
        const Vec inner = add(across[1][x], across[2][x]);
        const Vec outer = sub(across[1][x], across[2][x]);
        finish(rows[x], column, mask, add(across[0][x], inner));
        finish(rows[2 + x], column, mask, sub(outer, across[3][x]));
      }
    }
  }

 private:
  static void finish(const FinishRow& row, int64_t column, Mask mask, Vec value) {
    if (row.out == nullptr) {
      return;  // past the edge of an image of odd size
    }
    if (row.bias != nullptr) {
      value = add(value, load_first(row.bias + column, mask));
    }
    if (row.residual != nullptr) {
      value = add(value, Fp32::load(static_cast<const float*>(row.residual) + column, mask));
    }
    Fp32::store(static_cast<float*>(row.out) + column, mask, value);
  }
};

}  // namespace asdm::simd::ASDM_SIMD
