// Winograd's minimal filtering in fp32 (Lavin and Gray, arXiv 1509.09308) of one tile: F(2x2, 3x3) makes four outputs
// of a 3x3 convolution with 16 products for 36, F(4x4, 3x3) sixteen with 36 for 144. Positions count a transformed tile
// row by row.
#pragma once

#include "native/layers/simd/kernels.h"
#include "native/layers/simd/lanes.h"
#include "native/layers/simd/mix_tile.h"

namespace asdm::simd::ASDM_SIMD {

/// The transforms of F(2, 3) along one axis: the polynomial at 0, 1, -1 and infinity.
struct SmallFiltering {
  static constexpr int64_t kSide = 2;

  static void pixels(const Vec (&d)[4], Vec (&out)[4]) {
    out[0] = sub(d[0], d[2]);
    out[1] = add(d[1], d[2]);
    out[2] = sub(d[2], d[1]);
    out[3] = sub(d[1], d[3]);
  }

  static void taps(const Vec (&g)[3], Vec (&out)[4]) {
    const Vec half = splat(0.5F);
    const Vec ends = mul(add(g[0], g[2]), half);
    const Vec middle = mul(g[1], half);
    out[0] = g[0];
    out[1] = add(ends, middle);
    out[2] = sub(ends, middle);
    out[3] = g[2];
  }

  static void sums(const Vec (&m)[4], Vec (&out)[2]) {
    out[0] = add(m[0], add(m[1], m[2]));
    out[1] = sub(sub(m[1], m[2]), m[3]);
  }
};

/// The transforms of F(4, 3) along one axis: the polynomial at 0, a, -a, b, -b and infinity. With a = 5/8 and b = 3/2
/// the rounding error is less than half of that with the usual 1 and 2, and all coefficients of pixels are exact.
struct LargeFiltering {
  static constexpr int64_t kSide = 4;
  static constexpr float kA = 0.625F;
  static constexpr float kB = 1.5F;
  static constexpr float kA2 = kA * kA;
  static constexpr float kB2 = kB * kB;

  static void pixels(const Vec (&d)[6], Vec (&out)[6]) {
    const Vec a2 = splat(kA2);
    const Vec b2 = splat(kB2);
    const Vec product = splat(kA2 * kB2);
    const Vec sum = splat(kA2 + kB2);
    out[0] = fmadd(product, d[0], sub(d[4], mul(sum, d[2])));
    pair(fnmadd(b2, d[2], d[4]), mul(splat(kA), fnmadd(b2, d[1], d[3])), out[1], out[2]);
    pair(fnmadd(a2, d[2], d[4]), mul(splat(kB), fnmadd(a2, d[1], d[3])), out[3], out[4]);
    out[5] = fmadd(product, d[1], sub(d[5], mul(sum, d[3])));
  }

  static void taps(const Vec (&g)[3], Vec (&out)[6]) {
    constexpr float kOfA = 1.0F / (2 * kA2 * (kA2 - kB2));
    constexpr float kOfB = 1.0F / (2 * kB2 * (kB2 - kA2));
    out[0] = mul(g[0], splat(1.0F / (kA2 * kB2)));
    pair(mul(splat(kOfA), fmadd(splat(kA2), g[2], g[0])), mul(splat(kA * kOfA), g[1]), out[1], out[2]);
    pair(mul(splat(kOfB), fmadd(splat(kB2), g[2], g[0])), mul(splat(kB * kOfB), g[1]), out[3], out[4]);
    out[5] = g[2];
  }

  static void sums(const Vec (&m)[6], Vec (&out)[4]) {
    Vec even_a;
    Vec odd_a;
    pair(m[1], m[2], even_a, odd_a);
    Vec even_b;
    Vec odd_b;
    pair(m[3], m[4], even_b, odd_b);
    out[0] = add(m[0], add(even_a, even_b));
    out[1] = fmadd(splat(kA), odd_a, mul(splat(kB), odd_b));
    out[2] = fmadd(splat(kA2), even_a, mul(splat(kB2), even_b));
    out[3] = fmadd(splat(kA * kA2), odd_a, fmadd(splat(kB * kB2), odd_b, m[5]));
  }

 private:
  static void pair(Vec even, Vec odd, Vec& sum, Vec& difference) {
    sum = add(even, odd);
    difference = sub(even, odd);
  }
  /// c - a * b
  static Vec fnmadd(Vec a, Vec b, Vec c) { return sub(c, mul(a, b)); }
};

template <class Filtering>
struct WinogradTile {
  static constexpr int64_t kSide = Filtering::kSide;
  static constexpr int64_t kWidth = kSide + 2;
  static constexpr int64_t kTaps = 9;

  static void inputs(const void* const* pixels, int64_t channels, float* out, int64_t position_stride) {
    for (int64_t c = 0; c < channels; c += kVector) {
      Vec rows[kWidth][kWidth];  // [x][y]: columns are transformed first
#pragma GCC unroll 6
      for (int64_t x = 0; x < kWidth; ++x) {
        Vec column[kWidth];
#pragma GCC unroll 6
        for (int64_t y = 0; y < kWidth; ++y) {
          column[y] = load(static_cast<const float*>(pixels[y * kWidth + x]) + c);
        }
        Filtering::pixels(column, rows[x]);
      }
#pragma GCC unroll 6
      for (int64_t y = 0; y < kWidth; ++y) {
        Vec row[kWidth];
#pragma GCC unroll 6
        for (int64_t x = 0; x < kWidth; ++x) {
          row[x] = rows[x][y];
        }
        Vec transformed[kWidth];
        Filtering::pixels(row, transformed);
#pragma GCC unroll 6
        for (int64_t x = 0; x < kWidth; ++x) {
          store(out + (y * kWidth + x) * position_stride + c, transformed[x]);
        }
      }
    }
  }

  /// One channel of 16 output channels: taps [9][16] -> the positions of the panel, `stride` apart.
  template <bool kLater>
  static void weights_of_channel(const uint32_t* taps, float* panel, int64_t stride) {
    Vec columns[3][kWidth];
#pragma GCC unroll 3
    for (int64_t x = 0; x < 3; ++x) {
      const auto tap = [=](int64_t y) { return as_floats(load_bits(taps + (3 * y + x) * kVector)); };
      const Vec g[3] = {tap(0), tap(1), tap(2)};
      Filtering::taps(g, columns[x]);
    }
#pragma GCC unroll 6
    for (int64_t y = 0; y < kWidth; ++y) {
      const Vec g[3] = {columns[0][y], columns[1][y], columns[2][y]};
      Vec row[kWidth];
      Filtering::taps(g, row);
#pragma GCC unroll 6
      for (int64_t x = 0; x < kWidth; ++x) {
        float* to = panel + (y * kWidth + x) * stride;
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

  static void outputs(const float* sums, int64_t position_stride, const FilteredPixel* pixels, int64_t columns) {
    for (int64_t column = 0; column < columns; column += kVector) {
      const Mask mask = first_lanes(columns - column);
      Vec across[kWidth][kSide];
#pragma GCC unroll 6
      for (int64_t y = 0; y < kWidth; ++y) {
        Vec row[kWidth];
#pragma GCC unroll 6
        for (int64_t x = 0; x < kWidth; ++x) {
          row[x] = load(sums + (y * kWidth + x) * position_stride + column);
        }
        Filtering::sums(row, across[y]);
      }
#pragma GCC unroll 4
      for (int64_t x = 0; x < kSide; ++x) {
        Vec down[kWidth];
#pragma GCC unroll 6
        for (int64_t y = 0; y < kWidth; ++y) {
          down[y] = across[y][x];
        }
        Vec made[kSide];
        Filtering::sums(down, made);
#pragma GCC unroll 4
        for (int64_t y = 0; y < kSide; ++y) {
          finish(pixels[y * kSide + x], column, mask, made[y]);
        }
      }
    }
  }

  static constexpr WinogradKernels kernels() { return {kSide, &inputs, &pack, &outputs}; }

 private:
  static void finish(const FilteredPixel& pixel, int64_t column, Mask mask, Vec value) {
    if (pixel.out == nullptr) {
      return;  // past the edge of an image whose size is no multiple of the side
    }
    if (pixel.bias != nullptr) {
      value = add(value, load_first(pixel.bias + column, mask));
    }
    if (pixel.residual != nullptr) {
      value = add(value, load_first(pixel.residual + column, mask));
    }
    store_first(pixel.out + column, mask, value);
  }
};

}  // namespace asdm::simd::ASDM_SIMD
