// Kernels for processors with AVX-512, in fp32 and (AVX512-BF16) bf16. Plain pointers: what implements this is compiled
// for processors that not every user has, so no inline function of another library may be emitted from it.
#pragma once

#include <cstdint>

namespace asdm::avx512 {

/// Query rows that one call of `attend_tile` handles.
inline constexpr int64_t kTileRows = 12;

/// A [rows, columns] matrix whose columns lie together; elements are fp32, or bf16 as raw bits.
struct Matrix {
  const void* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;     ///< a multiple of `Kernels::group`
  int64_t row_stride = 0;  ///< elements
};

/// The kernels of one dtype. Packed operands are counted in lanes of 32 bits, each holding `group` neighbours.
struct Kernels {
  int64_t group;         ///< elements in a lane: 1 for fp32, 2 for bf16
  int64_t element_size;  ///< bytes

  /// Lanes that the packed forms of a [rows, columns] matrix take.
  int64_t (*packed_keys_size)(int64_t rows, int64_t columns);
  int64_t (*packed_values_size)(int64_t rows, int64_t columns);
  /// Keys in blocks of 32, a lane of columns of all of them together; padded with zeros.
  void (*pack_keys)(const Matrix& keys, uint32_t* packed);
  /// Values with a lane of rows together; padded with zeros.
  void (*pack_values)(const Matrix& values, uint32_t* packed);

  /// Floats of scratch that `attend_tile` needs, 64-byte aligned.
  int64_t (*attention_scratch_size)(int64_t columns);
  /// out = softmax(scale * q K^T) V for at most kTileRows query rows against `context` keys, with a running softmax
  /// over blocks of keys. `out` has the rows, the columns and the dtype of `queries`, row stride `out_stride`.
  void (*attend_tile)(const Matrix& queries, const uint32_t* keys, const uint32_t* values, int64_t context,
                      float scale, void* out, int64_t out_stride, float* scratch);
};

/// Needs AVX512F, BW and VL.
const Kernels& fp32_kernels();
/// Needs AVX512-BF16 besides.
const Kernels& bf16_kernels();

}  // namespace asdm::avx512
