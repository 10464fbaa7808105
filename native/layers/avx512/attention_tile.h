// Attention of one tile of queries, for either element type. Only for files that are compiled for such processors.
#pragma once

#include "native/layers/avx512/kernels.h"
#include "native/layers/avx512/lanes.h"

namespace asdm::avx512 {

inline constexpr int64_t kKeyBlock = 512;  // keys per softmax block: the scores of a tile stay in the first cache
inline constexpr int kHalfRows = 6;
inline constexpr float kLog2E = 1.4426950408889634F;
inline constexpr float kNothing = -1.0e38F;  // below every score, and finite, so that differences stay numbers

template <class Element>
struct AttentionTile {
  using Stored = typename Element::Stored;
  static constexpr int64_t kGroup = Element::kGroup;

  static int64_t packed_keys_size(int64_t rows, int64_t columns) { return round_up(rows, kPanel) * columns / kGroup; }
  static int64_t packed_values_size(int64_t rows, int64_t columns) {
    return round_up(rows, kPanel) / kGroup * round_up(columns, kVector);
  }
  static int64_t scratch_size(int64_t columns) {
    return kTileRows * (kKeyBlock + columns / kGroup + round_up(columns, kVector));
  }

  static void pack_keys(const Matrix& keys, uint32_t* packed) {
    const auto* from = static_cast<const uint32_t*>(keys.data);
    const int64_t depth = keys.columns / kGroup;
    const int64_t stride = keys.row_stride / kGroup;
    for (int64_t row = 0; row < keys.rows; row += kPanel) {
      pack_panel(from + row * stride, stride, keys.rows - row, depth, packed + row * depth);
    }
  }

  static void pack_values(const Matrix& values, uint32_t* packed) {
    const auto* from = static_cast<const Stored*>(values.data);
    auto* to = reinterpret_cast<Stored*>(packed);
    const int64_t width = round_up(values.columns, kVector);
    for (int64_t row = 0; row < round_up(values.rows, kPanel); row += kGroup) {
      for (int64_t column = 0; column < width; ++column) {
        for (int64_t i = row; i < row + kGroup; ++i) {
          *to++ = column < values.columns && i < values.rows ? from[i * values.row_stride + column] : Stored{};
        }
      }
    }
  }

  /// scores[row][key] = q[row] . k[key] for one panel of keys; highest[row] takes the largest of each lane.
  static void score(const uint32_t* queries, int64_t depth, const uint32_t* keys, float* scores, float* highest) {
    __m512 sums[kTileRows][2];
    for (auto& row : sums) {
      row[0] = row[1] = _mm512_setzero_ps();
    }
    multiply<Element>(queries, depth, keys, kPanel, depth, sums);
#pragma GCC unroll 12
    for (int64_t row = 0; row < kTileRows; ++row) {
      _mm512_storeu_ps(scores + row * kKeyBlock, sums[row][0]);
      _mm512_storeu_ps(scores + row * kKeyBlock + kVector, sums[row][1]);
      float* peaks = highest + row * kVector;
      _mm512_storeu_ps(peaks, _mm512_max_ps(_mm512_loadu_ps(peaks), _mm512_max_ps(sums[row][0], sums[row][1])));
    }
  }

  /// Takes the keys that pad the last panel out of the softmax, and the rest of that panel into its peaks.
  static void hide_padding(float* scores, int64_t wanted, int64_t padded, float* peaks) {
    for (int64_t key = wanted; key < padded; ++key) {
      scores[key] = kNothing;
    }
    const float* last = scores + padded - kPanel;
    const __m512 highest = _mm512_max_ps(_mm512_loadu_ps(last), _mm512_loadu_ps(last + kVector));
    _mm512_storeu_ps(peaks, _mm512_max_ps(_mm512_loadu_ps(peaks), highest));
  }

  /// Running softmax of one row over `keys` (a multiple of kPanel) scores: puts the weights, as lanes, in their place
  /// and returns the factor by which what was summed before must shrink.
  static float soften(float* scores, int64_t keys, float scale, const float* peaks, float& peak, float& total) {
    const float candidate = _mm512_reduce_max_ps(_mm512_loadu_ps(peaks)) * scale;
    const float now = candidate > peak ? candidate : peak;
    const __m512 factor = _mm512_set1_ps(scale);
    const __m512 shift = _mm512_set1_ps(now);
    auto* weights = reinterpret_cast<uint32_t*>(scores);
    __m512 sum = _mm512_setzero_ps();
    for (int64_t key = 0; key < keys; key += kPanel) {
      const __m512 low = Element::exp2(_mm512_fmsub_ps(_mm512_loadu_ps(scores + key), factor, shift));
      const __m512 high = Element::exp2(_mm512_fmsub_ps(_mm512_loadu_ps(scores + key + kVector), factor, shift));
      sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
      Element::store_lanes(weights + key / kGroup, low, high);
    }
    const float shrink = _mm512_cvtss_f32(exp2(_mm512_set1_ps(peak - now)));
    total = total * shrink + _mm512_reduce_add_ps(sum);
    peak = now;
    return shrink;
  }

  /// sums[row][16 * kVectors] += weights[row][key] v[key] for six rows.
  template <int kVectors>
  static void weigh(const uint32_t* weights, int64_t depth, const uint32_t* values, int64_t width, float* sums) {
    __m512 acc[kHalfRows][kVectors];
#pragma GCC unroll 6
    for (int64_t row = 0; row < kHalfRows; ++row) {
#pragma GCC unroll 4
      for (int64_t v = 0; v < kVectors; ++v) {
        acc[row][v] = _mm512_loadu_ps(sums + row * width + v * kVector);
      }
    }
    multiply<Element>(weights, kKeyBlock, values, width, depth, acc);
#pragma GCC unroll 6
    for (int64_t row = 0; row < kHalfRows; ++row) {
#pragma GCC unroll 4
      for (int64_t v = 0; v < kVectors; ++v) {
        _mm512_storeu_ps(sums + row * width + v * kVector, acc[row][v]);
      }
    }
  }

  /// All columns of `weigh`, at most four registers of them at a time: more would not fit beside the sums.
  static void weigh_all(const uint32_t* weights, int64_t depth, const uint32_t* values, int64_t width, float* sums) {
    for (int64_t column = 0; column < width;) {
      const int64_t left = (width - column) / kVector;
      const int64_t vectors = left == 3 || left == 5 || left == 6 ? 3 : left < 4 ? left : 4;
      const auto run = vectors == 1 ? &weigh<1> : vectors == 2 ? &weigh<2> : vectors == 3 ? &weigh<3> : &weigh<4>;
      run(weights, depth, values + column, width, sums + column);
      column += vectors * kVector;
    }
  }

  static void attend(const Matrix& queries, const uint32_t* keys, const uint32_t* values, int64_t context, float scale,
                     void* out, int64_t out_stride, float* scratch) {
    const int64_t depth = queries.columns / kGroup;
    const int64_t width = round_up(queries.columns, kVector);
    float* scores = scratch;
    float* sums = scores + kTileRows * kKeyBlock;
    auto* tile = reinterpret_cast<uint32_t*>(sums + kTileRows * width);
    const auto* from_query = static_cast<const uint32_t*>(queries.data);
    std::memset(sums, 0, static_cast<size_t>(kTileRows * (width + depth)) * sizeof(float));
    for (int64_t row = 0; row < queries.rows; ++row) {
      std::memcpy(tile + row * depth, from_query + row * (queries.row_stride / kGroup),
                  static_cast<size_t>(depth) * sizeof(uint32_t));
    }
    float peak[kTileRows];
    float total[kTileRows] = {};
    alignas(64) float highest[kTileRows * kVector];
    alignas(64) float ignored[kTileRows * kVector] = {};
    for (float& one : peak) {
      one = kNothing;
    }
    for (int64_t from = 0; from < context; from += kKeyBlock) {
      const int64_t wanted = context - from < kKeyBlock ? context - from : kKeyBlock;
      const int64_t padded = round_up(wanted, kPanel);
      for (float& one : highest) {
        one = kNothing;
      }
      for (int64_t key = 0; key < padded; key += kPanel) {
        score(tile, depth, keys + (from + key) * depth, scores + key, key + kPanel <= wanted ? highest : ignored);
      }
      for (int64_t row = 0; row < kTileRows; ++row) {
        float* mine = scores + row * kKeyBlock;
        float* peaks = highest + row * kVector;
        if (padded != wanted) {
          hide_padding(mine, wanted, padded, peaks);
        }
        const __m512 shrink = _mm512_set1_ps(soften(mine, padded, scale * kLog2E, peaks, peak[row], total[row]));
        for (float* sum = sums + row * width; sum < sums + (row + 1) * width; sum += kVector) {
          _mm512_storeu_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(sum), shrink));
        }
      }
      for (int64_t row = 0; row < kTileRows; row += kHalfRows) {
        weigh_all(reinterpret_cast<const uint32_t*>(scores) + row * kKeyBlock, padded / kGroup,
                  values + from / kGroup * width, width, sums + row * width);
      }
    }
    for (int64_t row = 0; row < queries.rows; ++row) {
      const __m512 inverse = _mm512_set1_ps(1.0F / total[row]);
      for (int64_t column = 0; column < queries.columns; column += kVector) {
        Element::store(static_cast<Stored*>(out) + row * out_stride + column, first_lanes(queries.columns - column),
                       _mm512_mul_ps(_mm512_loadu_ps(sums + row * width + column), inverse));
      }
    }
  }
};

}  // namespace asdm::avx512
