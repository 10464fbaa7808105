// Sums over the pixels of each channel of an image batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/layers/simd/kernels.h"

namespace asdm {

inline constexpr int64_t kBlockPixels = 64;  ///< summed in fp32 before they meet the others in fp64

/// True where there are kernels and they can read `x`: on CPU, [batch, channels, height, width] in channels_last, not
/// empty, no gradient.
bool reads_images(const simd::Kernels* kernels, const at::Tensor& x);

/// Images as [pixels, channels], in blocks of kBlockPixels pixels.
struct Images {
  Images(const simd::Kernels& kernels, const at::Tensor& x);

  const simd::Kernels& kernels;
  const at::Tensor& x;
  int64_t batch;
  int64_t channels;
  int64_t pixels;
  int64_t blocks;

  [[nodiscard]] const char* block(int64_t image, int64_t first) const {
    return static_cast<const char*>(x.const_data_ptr()) + (image * pixels + first) * channels * kernels.element_size;
  }
  [[nodiscard]] int64_t block_pixels(int64_t block) const {
    return std::min(kBlockPixels, pixels - block * kBlockPixels);
  }
};

/// Sums and squares of each block, around a pivot per image and channel (its first pixel) so that nothing cancels.
struct BlockSums {
  std::vector<float> pivots;   ///< [batch, channels]
  std::vector<float> sums;     ///< [batch, blocks, channels]
  std::vector<float> squares;  ///< the same
};

BlockSums sum_blocks(const Images& images);

/// The mean of each channel over its pixels, [batch, channels] in the dtype of x [batch, channels, height, width].
at::Tensor channel_means(const at::Tensor& x);

}  // namespace asdm
