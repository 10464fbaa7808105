// Winograd's minimal filtering F(2x2, 3x3) in fp32 (Lavin and Gray, arXiv 1509.09308): 16 products for the 36 of four
// outputs of a 3x3 convolution. Positions count the 4x4 transformed tile row by row.
#pragma once

#include "native/layers/avx512/kernels.h"
#include "native/layers/avx512/lanes.h"

namespace asdm::avx512 {

struct WinogradTile {
  static constexpr int64_t kPositions = 16;

  static void inputs(const void* const* pixels, int64_t channels, float* out, int64_t position_stride) {
    for (int64_t c = 0; c < channels; c += kVector) {
      __m512 rows[4][4];
#pragma GCC unroll 4
      for (int64_t x = 0; x < 4; ++x) {
        const auto pixel = [=](int64_t y) { return _mm512_loadu_ps(static_cast<const float*>(pixels[y * 4 + x]) + c); };
        const __m512 d0 = pixel(0);
        const __m512 d1 = pixel(1);
        const __m512 d2 = pixel(2);
        const __m512 d3 = pixel(3);
        rows[0][x] = _mm512_sub_ps(d0, d2);
        rows[1][x] = _mm512_add_ps(d1, d2);
        rows[2][x] = _mm512_sub_ps(d2, d1);
        rows[3][x] = _mm512_sub_ps(d1, d3);
      }
#pragma GCC unroll 4
      for (int64_t y = 0; y < 4; ++y) {
        float* to = out + y * 4 * position_stride + c;
        _mm512_storeu_ps(to, _mm512_sub_ps(rows[y][0], rows[y][2]));
        _mm512_storeu_ps(to + position_stride, _mm512_add_ps(rows[y][1], rows[y][2]));
        _mm512_storeu_ps(to + 2 * position_stride, _mm512_sub_ps(rows[y][2], rows[y][1]));
        _mm512_storeu_ps(to + 3 * position_stride, _mm512_sub_ps(rows[y][1], rows[y][3]));
      }
    }
  }

  /// G g of one column of a kernel.
  static void spread(const __m512 (&g)[3], __m512 (&out)[4]) {
    const __m512 half = _mm512_set1_ps(0.5F);
    const __m512 ends = _mm512_mul_ps(_mm512_add_ps(g[0], g[2]), half);
    const __m512 middle = _mm512_mul_ps(g[1], half);
    out[0] = g[0];
    out[1] = _mm512_add_ps(ends, middle);
    out[2] = _mm512_sub_ps(ends, middle);
    out[3] = g[2];
  }

  /// One channel of 16 output channels: taps [9][16] -> the 16 positions of the panel, `stride` apart.
  static void weights_of_channel(const uint32_t* taps, float* panel, int64_t stride) {
    __m512 columns[3][4];
#pragma GCC unroll 3
    for (int64_t x = 0; x < 3; ++x) {
      const __m512 g[3] = {_mm512_loadu_ps(taps + x * kVector), _mm512_loadu_ps(taps + (3 + x) * kVector),
                           _mm512_loadu_ps(taps + (6 + x) * kVector)};
      spread(g, columns[x]);
    }
#pragma GCC unroll 4
    for (int64_t y = 0; y < 4; ++y) {
      const __m512 g[3] = {columns[0][y], columns[1][y], columns[2][y]};
      __m512 row[4];
      spread(g, row);
#pragma GCC unroll 4
      for (int64_t x = 0; x < 4; ++x) {
        _mm512_storeu_ps(panel + (y * 4 + x) * stride, row[x]);
      }
    }
  }

  static void pack(const PanelHalf (&halves)[2], int64_t channels, uint32_t* panel) {
    alignas(64) uint32_t taps[9 * kVector * kVector];
    for (int64_t h = 0; h < 2; ++h) {
      auto* to = reinterpret_cast<float*>(panel) + h * kVector;
      const auto* from = static_cast<const uint32_t*>(halves[h].rows);
      for (int64_t c = 0; c < channels; c += kVector) {
        if (halves[h].count == kVector) {
          for (int64_t i = 0; i < 9; ++i) {
            transpose(from + (c * 9 + i * kVector), channels * 9, taps + i * kVector * kVector, kVector);
          }
        } else {
          std::memset(taps, 0, sizeof(taps));
        }
        for (int64_t i = 0; i < kVector; ++i) {
          weights_of_channel(taps + i * 9 * kVector, to + (c + i) * kPanel, channels * kPanel);
        }
      }
    }
  }

  static void outputs(const float* sums, int64_t position_stride, const FinishRow (&rows)[4], int64_t columns) {
    for (int64_t column = 0; column < columns; column += kVector) {
      const __mmask16 mask = first_lanes(columns - column);
      __m512 across[4][2];
#pragma GCC unroll 4
      for (int64_t y = 0; y < 4; ++y) {
        const float* from = sums + y * 4 * position_stride + column;
        const __m512 m0 = _mm512_loadu_ps(from);
        const __m512 m1 = _mm512_loadu_ps(from + position_stride);
        const __m512 m2 = _mm512_loadu_ps(from + 2 * position_stride);
        const __m512 m3 = _mm512_loadu_ps(from + 3 * position_stride);
        across[y][0] = _mm512_add_ps(m0, _mm512_add_ps(m1, m2));
        across[y][1] = _mm512_sub_ps(_mm512_sub_ps(m1, m2), m3);
      }
#pragma GCC unroll 2
      for (int64_t x = 0; x < 2; ++x) {
        const __m512 inner = _mm512_add_ps(across[1][x], across[2][x]);
        const __m512 outer = _mm512_sub_ps(across[1][x], across[2][x]);
        finish(rows[x], column, mask, _mm512_add_ps(across[0][x], inner));
        finish(rows[2 + x], column, mask, _mm512_sub_ps(outer, across[3][x]));
      }
    }
  }

 private:
  static void finish(const FinishRow& row, int64_t column, __mmask16 mask, __m512 value) {
    if (row.out == nullptr) {
      return;  // past the edge of an image of odd size
    }
    if (row.bias != nullptr) {
      value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, row.bias + column));
    }
    if (row.residual != nullptr) {
      value = _mm512_add_ps(value, Fp32::load(static_cast<const float*>(row.residual) + column, mask));
    }
    Fp32::store(static_cast<float*>(row.out) + column, mask, value);
  }
};

}  // namespace asdm::avx512
