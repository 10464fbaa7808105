// Sixteen floats in one AVX-512 register.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace asdm::simd::ASDM_SIMD {

using Vec = __m512;    ///< 16 floats
using Bits = __m512i;  ///< 16 lanes of 32 bits
using Mask = __mmask16;

// Two registers of 12 rows fill the register file.
inline constexpr int kRowsAtOnce = 12;
inline constexpr int kVectorsAtOnce = 2;
inline constexpr int64_t kChunk = 320;  // measured best

static inline Mask first_lanes(int64_t count) {
  return count >= 16 ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << count) - 1U);
}

static inline Vec zero() { return _mm512_setzero_ps(); }
static inline Vec splat(float value) { return _mm512_set1_ps(value); }
static inline Vec load(const float* from) { return _mm512_loadu_ps(from); }
static inline void store(float* to, Vec value) { _mm512_storeu_ps(to, value); }
/// Past the caches; `to` at a whole cache line.
static inline void stream(float* to, Vec value) { _mm512_stream_ps(to, value); }
/// The lanes of the mask; zeros elsewhere.
static inline Vec load_first(const float* from, Mask mask) { return _mm512_maskz_loadu_ps(mask, from); }
static inline void store_first(float* to, Mask mask, Vec value) { _mm512_mask_storeu_ps(to, mask, value); }

static inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
static inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
static inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
static inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
static inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
static inline Vec abs(Vec a) { return _mm512_abs_ps(a); }
/// a * b + c
static inline Vec fmadd(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
/// a * b - c
static inline Vec fmsub(Vec a, Vec b, Vec c) { return _mm512_fmsub_ps(a, b, c); }
static inline Vec nearest(Vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#ifdef __AVX512DQ__
/// What is above the next whole number below.
static inline Vec above_floor(Vec a) { return _mm512_reduce_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
#endif
/// a * 2^whole, or a * 2^floor(whole).
static inline Vec scale_by_power(Vec a, Vec whole) { return _mm512_scalef_ps(a, whole); }
/// Per lane: x < 0 ? below : otherwise.
static inline Vec select_negative(Vec x, Vec below, Vec otherwise) {
  return _mm512_mask_mov_ps(otherwise, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), below);
}

/// True where a lane of `a` is above that of `b`.
static inline bool any_above(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }

static inline Vec as_floats(Bits a) { return _mm512_castsi512_ps(a); }
static inline Bits as_bits(Vec a) { return _mm512_castps_si512(a); }
static inline Bits splat_bits(uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
static inline Bits load_bits(const uint32_t* from) { return _mm512_loadu_si512(from); }
/// The lanes of the mask; zeros elsewhere.
static inline Bits load_bits_first(const uint32_t* from, Mask mask) { return _mm512_maskz_loadu_epi32(mask, from); }
static inline void store_bits(uint32_t* to, Bits value) { _mm512_storeu_si512(to, value); }
static inline void store_bits_first(uint32_t* to, Mask mask, Bits value) { _mm512_mask_storeu_epi32(to, mask, value); }

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

}  // namespace asdm::simd::ASDM_SIMD
