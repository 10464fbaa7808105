// Attention of one tile of queries, for either element type. Only for files that are compiled for such processors.
#pragma once

#include "native/layers/avx512/kernels.h"
#include "native/layers/avx512/lanes.h"

namespace asdm::avx512 {

inline constexpr int64_t kKeyBlock = 240;  // keys per softmax block: the scores of a tile stay in the first cache
inline constexpr int kKeysAtOnce = 12;
inline constexpr float kLog2E = 1.4426950408889634F;
inline constexpr float kNothing = -1.0e38F;  // below every score, and finite, so that differences stay numbers

/// Queries lie across the lanes, two registers of them: so the softmax of a query needs no sum or maximum within a
/// register, keys are read as they lie, and no head size has to be padded.
template <class Element>
struct AttentionTile {
  using Stored = typename Element::Stored;
  static constexpr int64_t kGroup = Element::kGroup;

  /// A value per query.
  struct PerQuery {
    __m512 low;
    __m512 high;
  };

  static int64_t packed_values_size(int64_t rows, int64_t columns) {
    return columns * round_up(rows, kKeysAtOnce) / kGroup;
  }
  static int64_t scratch_size(int64_t columns) {
    return kPanel * (columns / kGroup + kKeyBlock + round_up(columns, kVector) + columns) +
           kKeysAtOnce * columns / kGroup;
  }

  static void pack_values(const Matrix& values, uint32_t* packed) {
    const auto* from = static_cast<const Stored*>(values.data);
    const int64_t stride = round_up(values.rows, kKeysAtOnce) / kGroup;
    alignas(64) uint32_t block[kVector * kVector];
    alignas(64) uint32_t turned[kVector * kVector];
    for (int64_t lane = 0; lane < stride; lane += kVector) {
      const __mmask16 lanes = first_lanes(stride - lane);
      for (int64_t column = 0; column < values.columns; column += kVector) {
        const __mmask16 columns = first_lanes(values.columns - column);
        for (int64_t i = 0; i < kVector; ++i) {
          const int64_t row = (lane + i) * kGroup;
          const Stored* rows = from + row * values.row_stride + column;
          _mm512_store_si512(block + i * kVector,
                             Element::rows_as_lanes(rows, values.row_stride, values.rows - row, columns));
        }
        transpose(block, kVector, turned, kVector);
        for (int64_t i = 0; i < kVector && column + i < values.columns; ++i) {
          _mm512_mask_storeu_epi32(packed + (column + i) * stride + lane, lanes,
                                   _mm512_load_si512(turned + i * kVector));
        }
      }
    }
  }

  /// scores[key] = k[key] . q for twelve keys, `stride` lanes apart; `peak` takes the largest.
  static void score(const uint32_t* keys, int64_t stride, const uint32_t* queries, int64_t depth, float* scores,
                    PerQuery& peak) {
    __m512 sums[kKeysAtOnce][2];
    for (auto& key : sums) {
      key[0] = key[1] = _mm512_setzero_ps();
    }
    multiply<Element>(keys, stride, queries, kPanel, depth, sums);
#pragma GCC unroll 12
    for (int64_t key = 0; key < kKeysAtOnce; ++key) {
      _mm512_storeu_ps(scores + key * kPanel, sums[key][0]);
      _mm512_storeu_ps(scores + key * kPanel + kVector, sums[key][1]);
      peak.low = _mm512_max_ps(peak.low, sums[key][0]);
      peak.high = _mm512_max_ps(peak.high, sums[key][1]);
    }
  }

  /// The last keys, fewer than twelve: padded by a copy, since what lies behind them is not ours, and by scores that
  /// weigh nothing.
  static void score_last(const uint32_t* keys, int64_t stride, int64_t count, const uint32_t* queries, int64_t depth,
                         float* scores, uint32_t* copy, PerQuery& peak) {
    std::memset(copy, 0, static_cast<size_t>(kKeysAtOnce * depth) * sizeof(uint32_t));
    for (int64_t key = 0; key < count; ++key) {
      std::memcpy(copy + key * depth, keys + key * stride, static_cast<size_t>(depth) * sizeof(uint32_t));
    }
    PerQuery ignored = peak;
    score(copy, depth, queries, depth, scores, ignored);
    for (int64_t key = 0; key < kKeysAtOnce; ++key) {
      float* row = scores + key * kPanel;
      if (key < count) {
        peak.low = _mm512_max_ps(peak.low, _mm512_loadu_ps(row));
        peak.high = _mm512_max_ps(peak.high, _mm512_loadu_ps(row + kVector));
      } else {
        _mm512_storeu_ps(row, _mm512_set1_ps(kNothing));
        _mm512_storeu_ps(row + kVector, _mm512_set1_ps(kNothing));
      }
    }
  }

  /// 2^(score * scale - shift) of `keys` keys in the place of their scores, as a panel of lanes; adds them to `total`.
  static void soften(float* scores, int64_t keys, __m512 scale, const PerQuery& shift, PerQuery& total) {
    auto* weights = reinterpret_cast<uint32_t*>(scores);
    for (int64_t key = 0; key < keys; key += kGroup) {
      __m512 low[kGroup];
      __m512 high[kGroup];
#pragma GCC unroll 2
      for (int64_t i = 0; i < kGroup; ++i) {
        const float* row = scores + (key + i) * kPanel;
        low[i] = Element::exp2(_mm512_fmsub_ps(_mm512_loadu_ps(row), scale, shift.low));
        high[i] = Element::exp2(_mm512_fmsub_ps(_mm512_loadu_ps(row + kVector), scale, shift.high));
        total.low = _mm512_add_ps(total.low, low[i]);
        total.high = _mm512_add_ps(total.high, high[i]);
      }
      uint32_t* to = weights + key / kGroup * kPanel;
      _mm512_storeu_si512(to, Element::lanes_of(low));
      _mm512_storeu_si512(to + kVector, Element::lanes_of(high));
    }
  }

  /// sums[column] = sums[column] * shrink + values[column] . weights for kRows columns, `stride` lanes apart.
  template <int kRows>
  static void weigh(const uint32_t* values, int64_t stride, const uint32_t* weights, int64_t depth,
                    const PerQuery& shrink, float* sums) {
    __m512 acc[kRows][2];
#pragma GCC unroll 12
    for (int64_t row = 0; row < kRows; ++row) {
      acc[row][0] = _mm512_mul_ps(_mm512_loadu_ps(sums + row * kPanel), shrink.low);
      acc[row][1] = _mm512_mul_ps(_mm512_loadu_ps(sums + row * kPanel + kVector), shrink.high);
    }
    multiply<Element>(values, stride, weights, kPanel, depth, acc);
#pragma GCC unroll 12
    for (int64_t row = 0; row < kRows; ++row) {
      _mm512_storeu_ps(sums + row * kPanel, acc[row][0]);
      _mm512_storeu_ps(sums + row * kPanel + kVector, acc[row][1]);
    }
  }

  /// All columns of `weigh`, in steps that leave no remainder for the head sizes of the published UNets.
  static void weigh_all(const uint32_t* values, int64_t stride, int64_t columns, const uint32_t* weights,
                        int64_t depth, const PerQuery& shrink, float* sums) {
    for (int64_t column = 0; column < columns;) {
      const int64_t left = columns - column;
      const int64_t step = columns % 10 == 0 ? 10 : left >= 24 ? 12 : left >= 8 ? 8 : 1;
      const auto run = step == 12 ? &weigh<12> : step == 10 ? &weigh<10> : step == 8 ? &weigh<8> : &weigh<1>;
      run(values + column * stride, stride, weights, depth, shrink, sums + column * kPanel);
      column += step;
    }
  }

  static void attend(const Matrix& queries, const Matrix& keys, const uint32_t* values, float scale, void* out,
                     int64_t out_stride, float* scratch) {
    const int64_t depth = queries.columns / kGroup;
    const int64_t key_stride = keys.row_stride / kGroup;
    const int64_t value_stride = round_up(keys.rows, kKeysAtOnce) / kGroup;
    float* scores = scratch;
    float* sums = scores + kKeyBlock * kPanel;
    auto* tile = reinterpret_cast<uint32_t*>(sums + (round_up(queries.columns, kVector) + queries.columns) * kPanel);
    uint32_t* last_keys = tile + depth * kPanel;
    pack_panel(static_cast<const uint32_t*>(queries.data), queries.row_stride / kGroup, queries.rows, depth, tile);
    std::memset(sums, 0, static_cast<size_t>(round_up(queries.columns, kVector) * kPanel) * sizeof(float));
    const __m512 factor = _mm512_set1_ps(scale * kLog2E);
    PerQuery peak{_mm512_set1_ps(kNothing), _mm512_set1_ps(kNothing)};
    PerQuery total{_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t from = 0; from < keys.rows; from += kKeyBlock) {
      const int64_t wanted = keys.rows - from < kKeyBlock ? keys.rows - from : kKeyBlock;
      const auto* block = static_cast<const uint32_t*>(keys.data) + from * key_stride;
      PerQuery now = peak;
      int64_t key = 0;
      for (; key + kKeysAtOnce <= wanted; key += kKeysAtOnce) {
        score(block + key * key_stride, key_stride, tile, depth, scores + key * kPanel, now);
      }
      if (key < wanted) {
        score_last(block + key * key_stride, key_stride, wanted - key, tile, depth, scores + key * kPanel, last_keys,
                   now);
        key += kKeysAtOnce;
      }
      const PerQuery shrink{exp2(_mm512_mul_ps(_mm512_sub_ps(peak.low, now.low), factor)),
                            exp2(_mm512_mul_ps(_mm512_sub_ps(peak.high, now.high), factor))};
      peak = now;
      total = {_mm512_mul_ps(total.low, shrink.low), _mm512_mul_ps(total.high, shrink.high)};
      soften(scores, key, factor, {_mm512_mul_ps(peak.low, factor), _mm512_mul_ps(peak.high, factor)}, total);
      weigh_all(values + from / kGroup, value_stride, queries.columns, reinterpret_cast<const uint32_t*>(scores),
                key / kGroup, shrink, sums);
    }
    write(sums, queries, total, static_cast<Stored*>(out), out_stride);
  }

  /// The weighted sums [columns, query] as rows of queries.
  static void write(float* sums, const Matrix& queries, const PerQuery& total, Stored* out, int64_t out_stride) {
    const PerQuery inverse{_mm512_div_ps(_mm512_set1_ps(1.0F), total.low),
                           _mm512_div_ps(_mm512_set1_ps(1.0F), total.high)};
    alignas(64) uint32_t block[kVector * kVector];
    for (int64_t half = 0; half < 2; ++half) {
      const __m512 by = half == 0 ? inverse.low : inverse.high;
      for (int64_t column = 0; column < queries.columns; column += kVector) {
        float* from = sums + column * kPanel + half * kVector;
        for (int64_t i = 0; i < kVector; ++i) {
          _mm512_storeu_ps(from + i * kPanel, _mm512_mul_ps(_mm512_loadu_ps(from + i * kPanel), by));
        }
        transpose(reinterpret_cast<const uint32_t*>(from), kPanel, block, kVector);
        const __mmask16 mask = first_lanes(queries.columns - column);
        for (int64_t i = 0; i < kVector && half * kVector + i < queries.rows; ++i) {
          Element::store(out + (half * kVector + i) * out_stride + column, mask, _mm512_loadu_ps(block + i * kVector));
        }
      }
    }
  }
};

}  // namespace asdm::avx512
