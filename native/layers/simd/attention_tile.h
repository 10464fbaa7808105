// Attention of one tile of queries, for either element type. Only for files that are compiled for such processors.
#pragma once

#include "native/layers/simd/kernels.h"
#include "native/layers/simd/lanes.h"

namespace asdm::simd::ASDM_SIMD {

inline constexpr float kLog2E = 1.4426950408889634F;
inline constexpr float kNothing = -1.0e38F;  // below every score, and finite, so that differences stay numbers

/// A value per query.
struct PerQuery {
  Vec part[2];
};

/// The sums of products of attention, by vectors of one row times two vectors of queries.
template <class Element>
class VectorDots {
 public:
  static constexpr int64_t kKeyBlock = 240;  ///< keys per softmax block: the scores of a tile stay in the first cache
  static constexpr int64_t kKeysAtOnce = 12;

  /// scores[key] = k[key] . q for kKeysAtOnce keys, `stride` lanes apart; `peak` takes the largest.
  void score(const uint32_t* keys, int64_t stride, const uint32_t* queries, int64_t depth, float* scores,
             PerQuery& peak) const {
#pragma GCC unroll 2
    for (int64_t first = 0; first < kPanel / kVector; first += kVectorsAtOnce) {
#pragma GCC unroll 2
      for (int64_t key = 0; key < kKeysAtOnce; key += kKeysTogether) {
        Vec sums[kKeysTogether][kVectorsAtOnce];
        for (auto& row : sums) {
          for (Vec& one : row) {
            one = zero();
          }
        }
        multiply<Element>(lanes_of_rows(keys + key * stride, stride), queries + first * kVector, kPanel, depth, sums);
#pragma GCC unroll 12
        for (int64_t r = 0; r < kKeysTogether; ++r) {
#pragma GCC unroll 2
          for (int64_t v = 0; v < kVectorsAtOnce; ++v) {
            store(scores + (key + r) * kPanel + (first + v) * kVector, sums[r][v]);
            peak.part[first + v] = max(peak.part[first + v], sums[r][v]);
          }
        }
      }
    }
  }

  /// sums[column] = sums[column] * shrink + values[column] . weights, `stride` lanes apart; in steps that leave no
  /// remainder for the head sizes of the published UNets.
  void weigh(const uint32_t* values, int64_t stride, int64_t columns, const uint32_t* weights, int64_t depth,
             const PerQuery& shrink, float* sums) const {
    for (int64_t column = 0; column < columns;) {
      const int64_t left = columns - column;
      const int64_t step = columns % 10 == 0 ? 10 : left >= 24 ? 12 : left >= 8 ? 8 : 1;
      const auto run = step == 12   ? &weigh_rows<12>
                       : step == 10 ? &weigh_rows<10>
                       : step == 8  ? &weigh_rows<8>
                                    : &weigh_rows<1>;
      run(values + column * stride, stride, weights, depth, shrink, sums + column * kPanel);
      column += step;
    }
  }

 private:
  static constexpr int kKeysTogether = rows_together(kKeysAtOnce);

  static auto lanes_of_rows(const uint32_t* rows, int64_t stride) {
    return [=](int64_t row, int64_t depth) { return rows[row * stride + depth]; };
  }

  /// `weigh` for kRows columns.
  template <int kRows>
  static void weigh_rows(const uint32_t* values, int64_t stride, const uint32_t* weights, int64_t depth,
                         const PerQuery& shrink, float* sums) {
    constexpr int kTogether = rows_together(kRows);
#pragma GCC unroll 2
    for (int64_t first = 0; first < kPanel / kVector; first += kVectorsAtOnce) {
#pragma GCC unroll 2
      for (int64_t from = 0; from < kRows; from += kTogether) {
        float* to = sums + from * kPanel + first * kVector;
        Vec acc[kTogether][kVectorsAtOnce];
#pragma GCC unroll 12
        for (int64_t row = 0; row < kTogether; ++row) {
#pragma GCC unroll 2
          for (int64_t v = 0; v < kVectorsAtOnce; ++v) {
            acc[row][v] = mul(load(to + row * kPanel + v * kVector), shrink.part[first + v]);
          }
        }
        multiply<Element>(lanes_of_rows(values + from * stride, stride), weights + first * kVector, kPanel, depth, acc);
#pragma GCC unroll 12
        for (int64_t row = 0; row < kTogether; ++row) {
#pragma GCC unroll 2
          for (int64_t v = 0; v < kVectorsAtOnce; ++v) {
            store(to + row * kPanel + v * kVector, acc[row][v]);
          }
        }
      }
    }
  }
};

/// Queries lie across the lanes, two vectors of them: so the softmax of a query needs no sum or maximum within a
/// register, and keys are read as they lie.
template <class Element>
struct AttentionTile {
  using Dots = VectorDots<Element>;
  using Stored = typename Element::Stored;
  static constexpr int64_t kGroup = Element::kGroup;
  static constexpr int64_t kKeyBlock = Dots::kKeyBlock;
  static constexpr int64_t kKeysAtOnce = Dots::kKeysAtOnce;

  static int64_t packed_context_size(int64_t rows, int64_t columns) {
    return columns * round_up(rows, kKeysAtOnce) / kGroup;
  }
  static int64_t scratch_size(int64_t columns) {
    return kPanel * (columns / kGroup + kKeyBlock + round_up(columns, kVector) + columns) +
           kKeysAtOnce * columns / kGroup;
  }

  /// Values by columns, keys padded with zeros.
  static void pack_context(const Matrix& /*keys*/, const Matrix& values, uint32_t* packed) {
    const int64_t stride = round_up(values.rows, kKeysAtOnce) / kGroup;
    const auto* from = static_cast<const Stored*>(values.data);
    alignas(64) uint32_t block[kVector * kVector];
    alignas(64) uint32_t turned[kVector * kVector];
    for (int64_t lane = 0; lane < stride; lane += kVector) {
      const Mask lanes = first_lanes(stride - lane);
      for (int64_t column = 0; column < values.columns; column += kVector) {
        const Mask columns = first_lanes(values.columns - column);
        for (int64_t i = 0; i < kVector; ++i) {
          const int64_t row = (lane + i) * kGroup;
          const Stored* rows = from + row * values.row_stride + column;
          store_bits(block + i * kVector, Element::rows_as_lanes(rows, values.row_stride, values.rows - row, columns));
        }
        transpose(block, kVector, turned, kVector);
        for (int64_t i = 0; i < kVector && column + i < values.columns; ++i) {
          store_bits_first(packed + (column + i) * stride + lane, lanes, load_bits(turned + i * kVector));
        }
      }
    }
  }

  /// The last keys, fewer than kKeysAtOnce: padded by a copy, since what lies behind them is not ours, and by scores
  /// that weigh nothing.
  static void score_last(const Dots& dots, const uint32_t* keys, int64_t stride, int64_t count, const uint32_t* queries,
                         int64_t depth, float* scores, uint32_t* copy, PerQuery& peak) {
    std::memset(copy, 0, static_cast<size_t>(kKeysAtOnce * depth) * sizeof(uint32_t));
    for (int64_t key = 0; key < count; ++key) {
      std::memcpy(copy + key * depth, keys + key * stride, static_cast<size_t>(depth) * sizeof(uint32_t));
    }
    PerQuery ignored = peak;
    dots.score(copy, depth, queries, depth, scores, ignored);
    for (int64_t key = 0; key < kKeysAtOnce; ++key) {
      float* row = scores + key * kPanel;
      for (int64_t v = 0; v < kPanel / kVector; ++v) {
        if (key < count) {
          peak.part[v] = max(peak.part[v], load(row + v * kVector));
        } else {
          store(row + v * kVector, splat(kNothing));
        }
      }
    }
  }

  /// Scores of `wanted` keys, rounded up to whole kKeysAtOnce; how many that is.
  static int64_t score_all(const Dots& dots, const uint32_t* keys, int64_t stride, int64_t wanted,
                           const uint32_t* queries, int64_t depth, float* scores, uint32_t* copy, PerQuery& peak) {
    int64_t key = 0;
    for (; key + kKeysAtOnce <= wanted; key += kKeysAtOnce) {
      dots.score(keys + key * stride, stride, queries, depth, scores + key * kPanel, peak);
    }
    if (key < wanted) {
      score_last(dots, keys + key * stride, stride, wanted - key, queries, depth, scores + key * kPanel, copy, peak);
      key += kKeysAtOnce;
    }
    return key;
  }

  /// 2^(score * scale - shift) of `keys` keys in the place of their scores, as a panel of lanes; adds them to `total`.
  static void soften(float* scores, int64_t keys, Vec scale, const PerQuery& shift, PerQuery& total) {
    auto* weights = reinterpret_cast<uint32_t*>(scores);
    for (int64_t key = 0; key < keys; key += kGroup) {
      Vec weight[2][kGroup];
#pragma GCC unroll 2
      for (int64_t i = 0; i < kGroup; ++i) {
        const float* row = scores + (key + i) * kPanel;
#pragma GCC unroll 2
        for (int64_t v = 0; v < 2; ++v) {
          weight[v][i] = Element::exp2(fmsub(load(row + v * kVector), scale, shift.part[v]));
          total.part[v] = add(total.part[v], weight[v][i]);
        }
      }
      uint32_t* to = weights + key / kGroup * kPanel;
      store_bits(to, Element::lanes_of(weight[0]));
      store_bits(to + kVector, Element::lanes_of(weight[1]));
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
    uint32_t* copy = tile + depth * kPanel;
    pack_panel(static_cast<const uint32_t*>(queries.data), queries.row_stride / kGroup, queries.rows, depth, tile);
    std::memset(sums, 0, static_cast<size_t>(round_up(queries.columns, kVector) * kPanel) * sizeof(float));
    const Dots dots;
    const Vec factor = splat(scale * kLog2E);
    PerQuery peak{{splat(kNothing), splat(kNothing)}};
    PerQuery total{{zero(), zero()}};
    for (int64_t from = 0; from < keys.rows; from += kKeyBlock) {
      const int64_t wanted = keys.rows - from < kKeyBlock ? keys.rows - from : kKeyBlock;
      PerQuery now = peak;
      const int64_t scored = score_all(dots, static_cast<const uint32_t*>(keys.data) + from * key_stride, key_stride,
                                       wanted, tile, depth, scores, copy, now);
      PerQuery shrink;
      PerQuery shift;
#pragma GCC unroll 2
      for (int64_t v = 0; v < 2; ++v) {
        shrink.part[v] = exp2(mul(sub(peak.part[v], now.part[v]), factor));
        shift.part[v] = mul(now.part[v], factor);
        total.part[v] = mul(total.part[v], shrink.part[v]);
      }
      peak = now;
      soften(scores, scored, factor, shift, total);
      dots.weigh(values + from / kGroup, value_stride, queries.columns, reinterpret_cast<const uint32_t*>(scores),
                 scored / kGroup, shrink, sums);
    }
    write(sums, queries, total, static_cast<Stored*>(out), out_stride);
  }

  /// The weighted sums [columns, query] as rows of queries.
  static void write(float* sums, const Matrix& queries, const PerQuery& total, Stored* out, int64_t out_stride) {
    alignas(64) uint32_t block[kVector * kVector];
    for (int64_t half = 0; half < 2; ++half) {
      const Vec by = div(splat(1.0F), total.part[half]);
      for (int64_t column = 0; column < queries.columns; column += kVector) {
        float* from = sums + column * kPanel + half * kVector;
        for (int64_t i = 0; i < kVector; ++i) {
          store(from + i * kPanel, mul(load(from + i * kPanel), by));
        }
        transpose(reinterpret_cast<const uint32_t*>(from), kPanel, block, kVector);
        const Mask mask = first_lanes(queries.columns - column);
        for (int64_t i = 0; i < kVector && half * kVector + i < queries.rows; ++i) {
          Element::store(out + (half * kVector + i) * out_stride + column, mask,
                         as_floats(load_bits(block + i * kVector)));
        }
      }
    }
  }
};

}  // namespace asdm::simd::ASDM_SIMD
