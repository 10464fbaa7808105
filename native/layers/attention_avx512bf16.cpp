#include "native/layers/attention_avx512bf16.h"

#include <immintrin.h>

namespace asdm::avx512bf16 {
namespace {

constexpr int64_t kVector = 16;      // floats in a register
constexpr int64_t kKeyBlock = 512;   // keys per softmax block: scores and weights of a tile stay in the first cache
constexpr int64_t kKeysAtOnce = 32;  // two registers of keys against kTileRows rows fill the register file
constexpr int64_t kHalfRows = 6;
constexpr float kLog2E = 1.4426950408889634F;
constexpr float kNothing = -3.0e38F;  // below every score, and finite, so that differences stay numbers

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

__m512bh as_bf16(__m512i bits) { return reinterpret_cast<__m512bh>(bits); }

/// 2^x for x <= 0; relative error below 3e-7, far under that of the bf16 it ends in.
__m512 exp2(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-126.0F));
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 part = _mm512_sub_ps(x, whole);
  __m512 sum = _mm512_set1_ps(1.5403530e-4F);  // Taylor series of 2^part, |part| <= 0.5
  constexpr float kSeries[] = {1.3333558e-3F, 9.6181291e-3F, 5.5504109e-2F, 2.4022651e-1F, 6.9314718e-1F, 1.0F};
  for (const float coefficient : kSeries) {
    sum = _mm512_fmadd_ps(sum, part, _mm512_set1_ps(coefficient));
  }
  return _mm512_scalef_ps(sum, whole);
}

/// scores[row][key] = q[row] . k[key] for 32 keys; `pairs` = columns / 2, queries as pairs of bf16.
void score_block(const uint32_t* queries, int64_t pairs, const uint32_t* keys, float* scores) {
  __m512 sums[kTileRows][2];
  for (auto& row : sums) {
    row[0] = row[1] = _mm512_setzero_ps();
  }
  const uint32_t* second = keys + pairs * kVector;
  for (int64_t p = 0; p < pairs; ++p) {
    const __m512bh k0 = as_bf16(_mm512_loadu_si512(keys + p * kVector));
    const __m512bh k1 = as_bf16(_mm512_loadu_si512(second + p * kVector));
#pragma GCC unroll 12
    for (int64_t row = 0; row < kTileRows; ++row) {
      const __m512bh q = as_bf16(_mm512_set1_epi32(static_cast<int>(queries[row * pairs + p])));
      sums[row][0] = _mm512_dpbf16_ps(sums[row][0], q, k0);
      sums[row][1] = _mm512_dpbf16_ps(sums[row][1], q, k1);
    }
  }
#pragma GCC unroll 12
  for (int64_t row = 0; row < kTileRows; ++row) {
    _mm512_storeu_ps(scores + row * kKeyBlock, sums[row][0]);
    _mm512_storeu_ps(scores + row * kKeyBlock + kVector, sums[row][1]);
  }
}

/// Running softmax of one row over `keys` (a multiple of 32) scores: writes weights as bf16, returns the factor by
/// which what was summed before must shrink.
float soften(const float* scores, int64_t keys, float scale, float& peak, float& total, uint16_t* weights) {
  __m512 highest = _mm512_set1_ps(kNothing);
  for (int64_t key = 0; key < keys; key += kVector) {
    highest = _mm512_max_ps(highest, _mm512_loadu_ps(scores + key));
  }
  const float candidate = _mm512_reduce_max_ps(highest) * scale;
  const float now = candidate > peak ? candidate : peak;
  const __m512 factor = _mm512_set1_ps(scale);
  const __m512 shift = _mm512_set1_ps(now);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t key = 0; key < keys; key += kKeysAtOnce) {
    const __m512 low = exp2(_mm512_fmsub_ps(_mm512_loadu_ps(scores + key), factor, shift));
    const __m512 high = exp2(_mm512_fmsub_ps(_mm512_loadu_ps(scores + key + kVector), factor, shift));
    sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
    _mm512_storeu_si512(weights + key, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
  const float shrink = _mm512_cvtss_f32(exp2(_mm512_set1_ps(peak - now)));
  total = total * shrink + _mm512_reduce_add_ps(sum);
  peak = now;
  return shrink;
}

/// sums[row][16 * kVectors] += weights[row][key] v[key] for six rows; `pairs` = keys / 2.
template <int kVectors>
void weigh_values(const uint32_t* weights, int64_t pairs, const uint32_t* values, int64_t width, float* sums,
                  int64_t sums_stride) {
  __m512 acc[kHalfRows][kVectors];
#pragma GCC unroll 6
  for (int64_t row = 0; row < kHalfRows; ++row) {
#pragma GCC unroll 5
    for (int64_t v = 0; v < kVectors; ++v) {
      acc[row][v] = _mm512_loadu_ps(sums + row * sums_stride + v * kVector);
    }
  }
  for (int64_t p = 0; p < pairs; ++p) {
    __m512bh value[kVectors];
#pragma GCC unroll 5
    for (int64_t v = 0; v < kVectors; ++v) {
      value[v] = as_bf16(_mm512_loadu_si512(values + p * width + v * kVector));
    }
#pragma GCC unroll 6
    for (int64_t row = 0; row < kHalfRows; ++row) {
      const __m512bh weight =
          as_bf16(_mm512_set1_epi32(static_cast<int>(weights[row * (kKeyBlock / 2) + p])));
#pragma GCC unroll 5
      for (int64_t v = 0; v < kVectors; ++v) {
        acc[row][v] = _mm512_dpbf16_ps(acc[row][v], weight, value[v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int64_t row = 0; row < kHalfRows; ++row) {
#pragma GCC unroll 5
    for (int64_t v = 0; v < kVectors; ++v) {
      _mm512_storeu_ps(sums + row * sums_stride + v * kVector, acc[row][v]);
    }
  }
}

/// All columns of `weigh_values`, at most four registers of them at a time: more would not fit beside the sums.
void weigh_all_columns(const uint32_t* weights, int64_t pairs, const uint32_t* values, int64_t width, float* sums) {
  for (int64_t column = 0; column < width;) {
    const int64_t vectors = (width - column) / kVector;
    const uint32_t* from = values + column;
    float* to = sums + column;
    switch (vectors) {
      case 1:
        weigh_values<1>(weights, pairs, from, width, to, width);
        column += kVector;
        break;
      case 2:
        weigh_values<2>(weights, pairs, from, width, to, width);
        column += 2 * kVector;
        break;
      case 3:
      case 5:
      case 6:
        weigh_values<3>(weights, pairs, from, width, to, width);
        column += 3 * kVector;
        break;
      default:
        weigh_values<4>(weights, pairs, from, width, to, width);
        column += 4 * kVector;
        break;
    }
  }
}

uint32_t pair_at(const uint16_t* row, int64_t column) {
  return static_cast<uint32_t>(row[column]) | (static_cast<uint32_t>(row[column + 1]) << 16U);
}

}  // namespace

int64_t packed_keys_size(int64_t rows, int64_t columns) { return round_up(rows, kKeysAtOnce) * columns; }

int64_t packed_values_size(int64_t rows, int64_t columns) {
  return round_up(rows, kKeysAtOnce) * round_up(columns, kVector);
}

int64_t scratch_size(int64_t columns) {
  const int64_t scores = kTileRows * kKeyBlock;
  const int64_t weights = kTileRows * kKeyBlock / 2;
  return scores + weights + kTileRows * columns / 2 + kTileRows * round_up(columns, kVector);
}

void pack_keys(const Matrix& keys, uint16_t* packed) {
  auto* out = reinterpret_cast<uint32_t*>(packed);
  const int64_t pairs = keys.columns / 2;
  for (int64_t block = 0; block < round_up(keys.rows, kKeysAtOnce); block += kVector) {
    for (int64_t p = 0; p < pairs; ++p) {
      for (int64_t i = 0; i < kVector; ++i) {
        const int64_t row = block + i;
        *out++ = row < keys.rows ? pair_at(keys.data + row * keys.row_stride, 2 * p) : 0;
      }
    }
  }
}

void pack_values(const Matrix& values, uint16_t* packed) {
  const int64_t width = round_up(values.columns, kVector);
  for (int64_t row = 0; row < round_up(values.rows, kKeysAtOnce); row += 2) {
    const uint16_t* first = values.data + row * values.row_stride;
    for (int64_t column = 0; column < width; ++column) {
      const bool inside = column < values.columns;
      *packed++ = inside && row < values.rows ? first[column] : 0;
      *packed++ = inside && row + 1 < values.rows ? first[values.row_stride + column] : 0;
    }
  }
}

void attend_tile(const Matrix& queries, const uint16_t* packed_keys, const uint16_t* packed_values, int64_t context,
                 float scale, uint16_t* out, int64_t out_stride, float* scratch) {
  const int64_t pairs = queries.columns / 2;
  const int64_t width = round_up(queries.columns, kVector);
  float* scores = scratch;
  float* weights = scores + kTileRows * kKeyBlock;
  auto* tile = reinterpret_cast<uint32_t*>(weights + kTileRows * kKeyBlock / 2);
  float* sums = reinterpret_cast<float*>(tile + kTileRows * pairs);
  const auto* keys = reinterpret_cast<const uint32_t*>(packed_keys);
  const auto* values = reinterpret_cast<const uint32_t*>(packed_values);
  float peak[kTileRows];
  float total[kTileRows];
  for (int64_t row = 0; row < kTileRows; ++row) {
    peak[row] = kNothing;
    total[row] = 0.0F;
    for (int64_t p = 0; p < pairs; ++p) {
      tile[row * pairs + p] =
          row < queries.rows ? pair_at(queries.data + row * queries.row_stride, 2 * p) : 0;
    }
    for (int64_t column = 0; column < width; ++column) {
      sums[row * width + column] = 0.0F;
    }
  }
  for (int64_t from = 0; from < context; from += kKeyBlock) {
    const int64_t wanted = context - from < kKeyBlock ? context - from : kKeyBlock;
    const int64_t padded = round_up(wanted, kKeysAtOnce);
    for (int64_t key = 0; key < padded; key += kKeysAtOnce) {
      score_block(tile, pairs, keys + (from + key) * pairs, scores + key);
    }
    for (int64_t row = 0; row < kTileRows; ++row) {
      float* mine = scores + row * kKeyBlock;
      for (int64_t key = wanted; key < padded; ++key) {
        mine[key] = kNothing;
      }
      const float shrink = soften(mine, padded, scale * kLog2E, peak[row], total[row],
                                  reinterpret_cast<uint16_t*>(weights) + row * kKeyBlock);
      const __m512 factor = _mm512_set1_ps(shrink);
      for (int64_t column = 0; column < width; column += kVector) {
        float* sum = sums + row * width + column;
        _mm512_storeu_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(sum), factor));
      }
    }
    for (int64_t row = 0; row < kTileRows; row += kHalfRows) {
      weigh_all_columns(reinterpret_cast<const uint32_t*>(weights) + row * (kKeyBlock / 2), padded / 2,
                        values + from / 2 * width, width, sums + row * width);
    }
  }
  for (int64_t row = 0; row < queries.rows; ++row) {
    const float inverse = 1.0F / total[row];
    for (int64_t column = 0; column < queries.columns; column += kVector) {
      const int64_t left = queries.columns - column;
      const __mmask16 mask = left >= kVector ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1U);
      const __m512 value = _mm512_mul_ps(_mm512_loadu_ps(sums + row * width + column), _mm512_set1_ps(inverse));
      _mm256_mask_storeu_epi16(out + row * out_stride + column, mask,
                               reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
    }
  }
}

}  // namespace asdm::avx512bf16
