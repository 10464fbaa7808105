// Sixteen floats in two AVX2 registers.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace asdm::simd::ASDM_SIMD {

/// 16 floats.
struct Vec {
  __m256 low;
  __m256 high;
};
/// 16 lanes of 32 bits.
struct Bits {
  __m256i low;
  __m256i high;
};
/// The first lanes of a Vec. A count: what a processor of this kind does with a mask of bits is slower than a branch.
struct Mask {
  int64_t count;
};

// One Vec of 6 rows is 12 of 16 registers.
inline constexpr int kRowsAtOnce = 6;
inline constexpr int kVectorsAtOnce = 1;
inline constexpr int64_t kChunk = 192;  // measured best

static inline Mask first_lanes(int64_t count) { return {count < 16 ? count : 16}; }

static inline Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static inline Vec splat(float value) {
  const __m256 all = _mm256_set1_ps(value);
  return {all, all};
}
static inline Vec load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
static inline void store(float* to, Vec value) {
  _mm256_storeu_ps(to, value.low);
  _mm256_storeu_ps(to + 8, value.high);
}
/// Past the caches; `to` at a whole cache line.
static inline void stream(float* to, Vec value) {
  _mm256_stream_ps(to, value.low);
  _mm256_stream_ps(to + 8, value.high);
}
/// The lanes of the mask; zeros elsewhere.
static inline Vec load_first(const float* from, Mask mask) {
  if (mask.count == 16) {
    return load(from);
  }
  alignas(32) float some[16] = {};
  std::memcpy(some, from, static_cast<size_t>(mask.count) * sizeof(float));
  return load(some);
}
static inline void store_first(float* to, Mask mask, Vec value) {
  if (mask.count == 16) {
    store(to, value);
    return;
  }
  alignas(32) float all[16];
  store(all, value);
  std::memcpy(to, all, static_cast<size_t>(mask.count) * sizeof(float));
}

static inline Vec add(Vec a, Vec b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
static inline Vec sub(Vec a, Vec b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
static inline Vec mul(Vec a, Vec b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
static inline Vec div(Vec a, Vec b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
static inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
static inline Vec abs(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
/// a * b + c
static inline Vec fmadd(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
/// a * b - c
static inline Vec fmsub(Vec a, Vec b, Vec c) {
  return {_mm256_fmsub_ps(a.low, b.low, c.low), _mm256_fmsub_ps(a.high, b.high, c.high)};
}
static inline Vec nearest(Vec a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, kMode), _mm256_round_ps(a.high, kMode)};
}
/// a * 2^whole for whole <= 0; 0 where that is below the normal numbers.
static inline Vec scale_by_power(Vec a, Vec whole) {
  const auto power = [](__m256 exponent) {
    const __m256i biased =
        _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_max_ps(exponent, _mm256_set1_ps(-127.0F))), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  };
  return {_mm256_mul_ps(a.low, power(whole.low)), _mm256_mul_ps(a.high, power(whole.high))};
}
/// Per lane: x < 0 ? below : otherwise.
static inline Vec select_negative(Vec x, Vec below, Vec otherwise) {
  const auto select = [](__m256 value, __m256 yes, __m256 no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(value, _mm256_setzero_ps(), _CMP_LT_OQ));
  };
  return {select(x.low, below.low, otherwise.low), select(x.high, below.high, otherwise.high)};
}

static inline Vec as_floats(Bits a) { return {_mm256_castsi256_ps(a.low), _mm256_castsi256_ps(a.high)}; }
static inline Bits as_bits(Vec a) { return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)}; }
static inline Bits splat_bits(uint32_t value) {
  const __m256i all = _mm256_set1_epi32(static_cast<int>(value));
  return {all, all};
}
static inline Bits load_bits(const uint32_t* from) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 8))};
}
static inline void store_bits(uint32_t* to, Bits value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value.low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), value.high);
}
static inline void store_bits_first(uint32_t* to, Mask mask, Bits value) {
  store_first(reinterpret_cast<float*>(to), mask, as_floats(value));
}

/// Transposes 8 rows of 8 lanes.
static inline void transpose_eight(const uint32_t* from, int64_t from_stride, uint32_t* to, int64_t to_stride) {
  __m256 a[8];
  __m256 b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    a[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(from + i * from_stride));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xEE);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
  }
  // a[4 g + c] holds columns c and c + 4 for rows 4 g .. 4 g + 3
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(reinterpret_cast<float*>(to + c * to_stride), _mm256_permute2f128_ps(a[c], a[4 + c], 0x20));
    _mm256_storeu_ps(reinterpret_cast<float*>(to + (4 + c) * to_stride), _mm256_permute2f128_ps(a[c], a[4 + c], 0x31));
  }
}

/// Transposes 16 rows of 16 lanes: out[i * out_stride + j] = rows[j][i].
static inline void transpose(const uint32_t* from, int64_t from_stride, uint32_t* to, int64_t to_stride) {
  transpose_eight(from, from_stride, to, to_stride);
  transpose_eight(from + 8, from_stride, to + 8 * to_stride, to_stride);
  transpose_eight(from + 8 * from_stride, from_stride, to + 8, to_stride);
  transpose_eight(from + 8 * from_stride + 8, from_stride, to + 8 * to_stride + 8, to_stride);
}

}  // namespace asdm::simd::ASDM_SIMD
