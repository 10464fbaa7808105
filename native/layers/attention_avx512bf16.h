// Attention of one head in bf16 with AVX512-BF16 dot products. Plain pointers: this file is compiled for processors that
// not every user has, so no inline function of another library may be emitted from it.
#pragma once

#include <cstdint>

namespace asdm::avx512bf16 {

/// Query rows that one call of `attend_tile` handles.
inline constexpr int64_t kTileRows = 12;

/// A [rows, columns] matrix of bf16 (as raw bits) whose columns lie together.
struct Matrix {
  const uint16_t* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;  ///< even
  int64_t row_stride = 0;
};

/// Elements of uint16_t that the packed forms of `rows` x `columns` take.
[[nodiscard]] int64_t packed_keys_size(int64_t rows, int64_t columns);
[[nodiscard]] int64_t packed_values_size(int64_t rows, int64_t columns);

/// Keys in blocks of 16, pairs of columns together; padded with zeros.
void pack_keys(const Matrix& keys, uint16_t* packed);
/// Values with pairs of rows together; padded with zeros.
void pack_values(const Matrix& values, uint16_t* packed);

/// Floats of scratch that `attend_tile` needs, 64-byte aligned.
[[nodiscard]] int64_t scratch_size(int64_t columns);

/// out = softmax(scale * q K^T) V for at most kTileRows query rows against `context` keys, with a running softmax over
/// blocks of keys. `out` has the rows and columns of `queries`, row stride `out_stride`.
void attend_tile(const Matrix& queries, const uint16_t* packed_keys, const uint16_t* packed_values, int64_t context,
                 float scale, uint16_t* out, int64_t out_stride, float* scratch);

}  // namespace asdm::avx512bf16
