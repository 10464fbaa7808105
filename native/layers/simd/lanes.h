// What all kernels are made of, over the vectors of one kind of processor: ASDM_SIMD, which the build defines for each
// file together with the flags of that processor, names their namespace, so that the linker takes no file's code for
// another's.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include "native/layers/simd/vector_avx512.h"
#else
#include "native/layers/simd/vector_avx2.h"
#endif

namespace asdm::simd::ASDM_SIMD {

inline constexpr int64_t kVector = 16;  // lanes of a Vec
inline constexpr int64_t kPanel = 32;   // columns of a panel

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// 2^x for x in [-1e38, 0]: 2^whole times a polynomial of the rest, highest power first.
template <int kTerms>
static inline Vec power_of_two(Vec x, const float (&series)[kTerms]) {
  const Vec whole = nearest(x);
  const Vec part = sub(x, whole);
  Vec sum = splat(series[0]);
#pragma GCC unroll 8
  for (int i = 1; i < kTerms; ++i) {
    sum = fmadd(sum, part, splat(series[i]));
  }
  return scale_by_power(sum, whole);
}

/// Minimax fit of 2^part on |part| <= 0.5: relative error below 2e-7 with the rounding of its evaluation.
inline constexpr float kPowerSeries[] = {1.3276472e-3F, 9.6755419e-3F, 5.5507131e-2F,
                                         2.4022120e-1F, 6.9314694e-1F, 1.0F};

/// 2^x for x <= 0.
static inline Vec exp2(Vec x) { return power_of_two(max(x, splat(-150.0F)), kPowerSeries); }

/// fp32: a lane is one element.
struct Fp32 {
  using Stored = float;
  static constexpr int64_t kGroup = 1;

  static Vec multiply_add(Vec sum, Bits a, Bits b) { return fmadd(as_floats(a), as_floats(b), sum); }
  /// 2^x for x in [-1e38, 0].
  static Vec exp2(Vec x) { return power_of_two(x, kPowerSeries); }
  static Vec load(const float* from, Mask mask) { return load_first(from, mask); }
  static void store(float* to, Mask mask, Vec value) { store_first(to, mask, value); }
  static void store_panel(float* to, Vec low, Vec high) {
    asdm::simd::ASDM_SIMD::store(to, low);
    asdm::simd::ASDM_SIMD::store(to + kVector, high);
  }
  /// Columns of one row of a matrix that has `count` more, zeros where it has none.
  static Bits rows_as_lanes(const float* row, int64_t, int64_t count, Mask columns) {
    return as_bits(count > 0 ? load_first(row, columns) : zero());
  }
  /// Neighbouring rows as lanes.
  static Bits lanes_of(const Vec (&rows)[1]) { return as_bits(rows[0]); }
};

#ifdef __AVX512BF16__
/// bf16: a lane is a pair of neighbours, multiplied and summed into fp32 by one instruction.
struct Bf16 {
  using Stored = uint16_t;
  static constexpr int64_t kGroup = 2;

  static Vec multiply_add(Vec sum, Bits a, Bits b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  /// 2^x for x of at most 126; relative error below 1e-4, a twentieth of the rounding to bf16 that follows. Minimax fit
  /// of 2^part on [0, 1), which is scaled by the power below. Written out: the numbers of an array are loaded each
  /// time, beside tiles, which took 2 to 3 % of attention.
  static Vec exp2(Vec x) {
    const Vec part = above_floor(x);
    Vec sum = splat(7.802398e-2F);
    sum = fmadd(sum, part, splat(2.2606702e-1F));
    sum = fmadd(sum, part, splat(6.9583408e-1F));
    sum = fmadd(sum, part, splat(9.9992511e-1F));
    return scale_by_power(sum, x);
  }
  static Vec load(const uint16_t* from, Mask mask) {
    const Bits wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from));
    return as_floats(_mm512_slli_epi32(wide, 16));
  }
  static void store(uint16_t* to, Mask mask, Vec value) {
    _mm256_mask_storeu_epi16(to, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  }
  static void store_panel(uint16_t* to, Vec low, Vec high) {
    _mm512_storeu_si512(to, reinterpret_cast<Bits>(_mm512_cvtne2ps_pbh(high, low)));
  }
  /// Columns of two rows of a matrix that has `count` more, zeros where it has none.
  static Bits rows_as_lanes(const uint16_t* row, int64_t stride, int64_t count, Mask columns) {
    const auto load = [=](const uint16_t* from) {
      return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, from));
    };
    const Bits even = count > 0 ? load(row) : _mm512_setzero_si512();
    const Bits odd = count > 1 ? load(row + stride) : _mm512_setzero_si512();
    return _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
  }
  /// Neighbouring rows as lanes.
  static Bits lanes_of(const Vec (&rows)[2]) {
    const Bits halves = reinterpret_cast<Bits>(_mm512_cvtne2ps_pbh(rows[1], rows[0]));
    alignas(64) static constexpr uint16_t kInTurns[] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_load_si512(kInTurns), halves);
  }
};
#endif

static inline uint32_t lane_at(const void* from) {
  uint32_t bits = 0;
  std::memcpy(&bits, from, sizeof(bits));
  return bits;
}

/// How many of `count` rows are summed together: all, or an even share of them as the registers allow.
constexpr int rows_together(int count) {
  int parts = (count + kRowsAtOnce - 1) / kRowsAtOnce;
  while (count % parts != 0) {
    ++parts;
  }
  return count / parts;
}

/// sums[r][v] += sum over `depth` lanes of lane_of(r, d) * columns[d * column_stride + 16 v].
template <class Element, int kRows, int kVectors, class LaneOf>
inline void multiply(const LaneOf& lane_of, const uint32_t* columns, int64_t column_stride, int64_t depth,
                     Vec (&sums)[kRows][kVectors]) {
  for (int64_t d = 0; d < depth; ++d) {
    Bits column[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      column[v] = load_bits(columns + d * column_stride + v * kVector);
    }
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const Bits row = splat_bits(lane_of(r, d));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Element::multiply_add(sums[r][v], row, column[v]);
      }
    }
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

}  // namespace asdm::simd::ASDM_SIMD
