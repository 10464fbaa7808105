// What all AVX-512 kernels are made of. Only for files that are compiled for such processors, each with its own flags:
// hence `static`, so that the linker does not take one file's code for the other's.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace asdm::avx512 {

inline constexpr int64_t kVector = 16;  // lanes of a register
inline constexpr int64_t kPanel = 32;   // columns of a panel: two registers against 12 rows fill the register file

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

static inline __mmask16 first_lanes(int64_t count) {
  return count >= kVector ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << count) - 1U);
}

/// 2^x for x in [-1e38, 0]: 2^whole times a polynomial of the rest, highest power first.
template <int kTerms>
static inline __m512 power_of_two(__m512 x, const float (&series)[kTerms]) {
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 part = _mm512_sub_ps(x, whole);
  __m512 sum = _mm512_set1_ps(series[0]);
#pragma GCC unroll 8
  for (int i = 1; i < kTerms; ++i) {
    sum = _mm512_fmadd_ps(sum, part, _mm512_set1_ps(series[i]));
  }
  return _mm512_scalef_ps(sum, whole);
}

/// Minimax fit of 2^part on |part| <= 0.5: relative error below 2e-7 with the rounding of its evaluation.
inline constexpr float kPowerSeries[] = {1.3276472e-3F, 9.6755419e-3F, 5.5507131e-2F,
                                         2.4022120e-1F, 6.9314694e-1F, 1.0F};

/// 2^x for x <= 0.
static inline __m512 exp2(__m512 x) { return power_of_two(_mm512_max_ps(x, _mm512_set1_ps(-150.0F)), kPowerSeries); }

/// fp32: a lane is one element.
struct Fp32 {
  using Stored = float;
  static constexpr int64_t kGroup = 1;

  static __m512 multiply_add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
  /// 2^x for x in [-1e38, 0].
  static __m512 exp2(__m512 x) { return power_of_two(x, kPowerSeries); }
  static __m512 load(const float* from, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, from); }
  static void store(float* to, __mmask16 mask, __m512 value) { _mm512_mask_storeu_ps(to, mask, value); }
  /// Columns of one row of a matrix that has `count` more, zeros where it has none.
  static __m512i rows_as_lanes(const float* row, int64_t, int64_t count, __mmask16 columns) {
    return count > 0 ? _mm512_maskz_loadu_epi32(columns, row) : _mm512_setzero_si512();
  }
  /// Neighbouring rows as lanes.
  static __m512i lanes_of(const __m512 (&rows)[1]) { return _mm512_castps_si512(rows[0]); }
};

#ifdef __AVX512BF16__
/// bf16: a lane is a pair of neighbours, multiplied and summed into fp32 by one instruction.
struct Bf16 {
  using Stored = uint16_t;
  static constexpr int64_t kGroup = 2;

  static __m512 multiply_add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  /// 2^x for x in [-1e38, 0]; relative error below 1e-4, a twentieth of the rounding to bf16 that follows.
  static __m512 exp2(__m512 x) {
    constexpr float kSeries[] = {5.5171672e-2F, 2.4261114e-1F, 6.9326097e-1F, 9.9992806e-1F};
    return power_of_two(x, kSeries);
  }
  static __m512 load(const uint16_t* from, __mmask16 mask) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static void store(uint16_t* to, __mmask16 mask, __m512 value) {
    _mm256_mask_storeu_epi16(to, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  }
  /// Columns of two rows of a matrix that has `count` more, zeros where it has none.
  static __m512i rows_as_lanes(const uint16_t* row, int64_t stride, int64_t count, __mmask16 columns) {
    const auto load = [=](const uint16_t* from) {
      return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, from));
    };
    const __m512i even = count > 0 ? load(row) : _mm512_setzero_si512();
    const __m512i odd = count > 1 ? load(row + stride) : _mm512_setzero_si512();
    return _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
  }
  /// Neighbouring rows as lanes.
  static __m512i lanes_of(const __m512 (&rows)[2]) {
    const __m512i even = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(rows[0])));
    const __m512i odd = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(rows[1])));
    return _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
  }
};
#endif

static inline uint32_t lane_at(const void* from) {
  uint32_t bits = 0;
  std::memcpy(&bits, from, sizeof(bits));
  return bits;
}

/// sums[r][v] += sum over `depth` lanes of rows[r * row_stride + d] * columns[d * column_stride + 16 v].
template <class Element, int kRows, int kVectors>
inline void multiply(const uint32_t* rows, int64_t row_stride, const uint32_t* columns, int64_t column_stride,
                     int64_t depth, __m512 (&sums)[kRows][kVectors]) {
  for (int64_t d = 0; d < depth; ++d) {
    __m512i column[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      column[v] = _mm512_loadu_si512(columns + d * column_stride + v * kVector);
    }
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const __m512i row = _mm512_set1_epi32(static_cast<int>(rows[r * row_stride + d]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Element::multiply_add(sums[r][v], row, column[v]);
      }
    }
  }
}

/// Transposes 16 rows of 16 lanes: out[i * out_stride + j] = rows[j][i].
static inline void transpose(const uint32_t* from, int64_t from_stride, uint32_t* to, int64_t to_stride) {
  __m512i a[16];
  __m512i b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    a[i] = _mm512_loadu_si512(from + i * from_stride);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  // a[4 g + c] holds column c of every quarter for rows 4 g .. 4 g + 3
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i even01 = _mm512_shuffle_i32x4(a[c], a[4 + c], 0x88);
    const __m512i odd01 = _mm512_shuffle_i32x4(a[c], a[4 + c], 0xDD);
    const __m512i even23 = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0x88);
    const __m512i odd23 = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0xDD);
    _mm512_storeu_si512(to + c * to_stride, _mm512_shuffle_i32x4(even01, even23, 0x88));
    _mm512_storeu_si512(to + (4 + c) * to_stride, _mm512_shuffle_i32x4(odd01, odd23, 0x88));
    _mm512_storeu_si512(to + (8 + c) * to_stride, _mm512_shuffle_i32x4(even01, even23, 0xDD));
    _mm512_storeu_si512(to + (12 + c) * to_stride, _mm512_shuffle_i32x4(odd01, odd23, 0xDD));
  }
}

/// Packs up to kPanel rows of a matrix as a panel: panel[d * kPanel + i] = lane d of row i, zeros for rows that are not
/// there. `from_stride` in lanes.
static inline void pack_panel(const uint32_t* from, int64_t from_stride, int64_t rows, int64_t depth, uint32_t* panel) {
  for (int64_t half = 0; half < kPanel; half += kVector) {
    int64_t done = 0;
    if (rows - half >= kVector) {
      for (; done + kVector <= depth; done += kVector) {
        transpose(from + half * from_stride + done, from_stride, panel + done * kPanel + half, kPanel);
      }
    }
    for (int64_t d = done; d < depth; ++d) {
      for (int64_t i = half; i < half + kVector; ++i) {
        panel[d * kPanel + i] = i < rows ? lane_at(from + i * from_stride + d) : 0;
      }
    }
  }
}

}  // namespace asdm::avx512
