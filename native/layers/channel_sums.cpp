#include "native/layers/channel_sums.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "native/layers/cpu_kernels.h"

namespace asdm {

bool reads_images(const simd::Kernels* kernels, const at::Tensor& x) {
  return kernels != nullptr && x.device().is_cpu() && x.dim() == 4 && x.numel() > 0 &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast) && !records_gradient(x);
}

Images::Images(const simd::Kernels& kernels_of_dtype, const at::Tensor& images)
    : kernels(kernels_of_dtype),
      x(images),
      batch(x.size(0)),
      channels(x.size(1)),
      pixels(x.size(2) * x.size(3)),
      blocks((pixels + kBlockPixels - 1) / kBlockPixels) {}

BlockSums sum_blocks(const Images& images) {
  const auto per_image = static_cast<size_t>(images.channels);
  const auto images_count = static_cast<size_t>(images.batch);
  BlockSums result;
  result.pivots.resize(images_count * per_image);
  result.sums.resize(images_count * static_cast<size_t>(images.blocks) * per_image);
  result.squares.resize(result.sums.size());
  const std::vector<float> zeros(per_image);
  std::vector<float> unused(per_image);
  for (int64_t image = 0; image < images.batch; ++image) {
    images.kernels.channel_sums(images.block(image, 0), 1, images.channels, zeros.data(),
                                result.pivots.data() + image * images.channels, unused.data());
  }
  at::parallel_for(0, images.batch * images.blocks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / images.blocks;
      const int64_t block = task % images.blocks;
      images.kernels.channel_sums(images.block(image, block * kBlockPixels), images.block_pixels(block),
                                  images.channels, result.pivots.data() + image * images.channels,
                                  result.sums.data() + task * images.channels,
                                  result.squares.data() + task * images.channels);
    }
  });
  return result;
}

at::Tensor channel_means(const at::Tensor& x) {
  const simd::Kernels* kernels = cpu_kernels(x.scalar_type());
  if (!reads_images(kernels, x)) {
    return x.mean({2, 3});
  }
  const Images images(*kernels, x);
  const BlockSums blocks = sum_blocks(images);
  at::Tensor means = at::empty({images.batch, images.channels}, at::kFloat);
  auto* mean = means.mutable_data_ptr<float>();
  for (int64_t image = 0; image < images.batch; ++image) {
    std::vector<double> sums(static_cast<size_t>(images.channels));
    for (int64_t block = 0; block < images.blocks; ++block) {
      const float* of_block = blocks.sums.data() + (image * images.blocks + block) * images.channels;
      for (int64_t c = 0; c < images.channels; ++c) {
        sums[static_cast<size_t>(c)] += of_block[c];
      }
    }
    for (int64_t c = 0; c < images.channels; ++c) {
      const int64_t at = image * images.channels + c;
      mean[at] = blocks.pivots[static_cast<size_t>(at)] +
                 static_cast<float>(sums[static_cast<size_t>(c)] / static_cast<double>(images.pixels));
    }
  }
  return means.to(x.scalar_type());
}

}  // namespace asdm
