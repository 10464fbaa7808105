#include "native/layers/group_norm_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/Parallel.h>

#include "native/layers/cpu_kernels.h"

namespace asdm {
namespace {

using simd::Kernels;

constexpr int64_t kBlockPixels = 64;  // summed in fp32 before they meet the others in fp64

struct Moments {
  double mean = 0.0;
  double squares = 0.0;  ///< sum of squared differences from the mean
  double count = 0.0;

  /// Chan, Golub and LeVeque (1979).
  void add(const Moments& other) {
    const double total = count + other.count;
    const double apart = other.mean - mean;
    squares += other.squares + apart * apart * count * other.count / total;
    mean += apart * other.count / total;
    count = total;
  }
};

/// One normalisation in progress: images of [pixels, channels].
struct Images {
  const Kernels& kernels;
  const at::Tensor& x;
  int64_t batch;
  int64_t channels;
  int64_t pixels;
  int64_t blocks;

  [[nodiscard]] const char* block(int64_t image, int64_t first) const {
    return static_cast<const char*>(x.const_data_ptr()) +
           (image * pixels + first) * channels * kernels.element_size;
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

Moments group_moments(const Images& images, const BlockSums& blocks, int64_t image, int64_t first, int64_t count) {
  Moments group;
  for (int64_t c = first; c < first + count; ++c) {
    double sum = 0.0;
    double squares = 0.0;
    for (int64_t block = 0; block < images.blocks; ++block) {
      const auto at = static_cast<size_t>((image * images.blocks + block) * images.channels + c);
      sum += blocks.sums[at];
      squares += blocks.squares[at];
    }
    const auto pixels = static_cast<double>(images.pixels);
    group.add({.mean = blocks.pivots[static_cast<size_t>(image * images.channels + c)] + sum / pixels,
               .squares = squares - sum * sum / pixels,
               .count = pixels});
  }
  return group;
}

/// Per image and channel: y = x * scale + shift.
struct Affine {
  std::vector<float> scale;
  std::vector<float> shift;
};

Affine affine_of(const Images& images, const at::Tensor& weight, const at::Tensor& bias, int64_t groups, double eps) {
  const BlockSums blocks = sum_blocks(images);
  const at::Tensor gain = weight.to(at::kFloat).contiguous();
  const at::Tensor offset = bias.to(at::kFloat).contiguous();
  const auto* gains = gain.const_data_ptr<float>();
  const auto* offsets = offset.const_data_ptr<float>();
  Affine affine;
  affine.scale.resize(static_cast<size_t>(images.batch * images.channels));
  affine.shift.resize(affine.scale.size());
  const int64_t width = images.channels / groups;
  for (int64_t task = 0; task < images.batch * groups; ++task) {
    const int64_t image = task / groups;
    const int64_t first = task % groups * width;
    const Moments group = group_moments(images, blocks, image, first, width);
    const double inverse = 1.0 / std::sqrt(group.squares / group.count + eps);
    for (int64_t c = first; c < first + width; ++c) {
      const auto at = static_cast<size_t>(image * images.channels + c);
      affine.scale[at] = static_cast<float>(gains[c] * inverse);
      affine.shift[at] = static_cast<float>(offsets[c] - gains[c] * inverse * group.mean);
    }
  }
  return affine;
}

}  // namespace

at::Tensor cpu_group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t groups,
                          double eps, bool with_silu, Workspace& workspace) {
  const Kernels* kernels = cpu_kernels(x.scalar_type());
  if (kernels == nullptr || !x.device().is_cpu() || x.dim() != 4 || x.numel() == 0 || x.size(1) % groups != 0 ||
      !x.is_contiguous(at::MemoryFormat::ChannelsLast) || records_gradient(x) || records_gradient(weight) ||
      records_gradient(bias)) {
    return {};
  }
  const int64_t pixels = x.size(2) * x.size(3);
  const Images images{*kernels, x, x.size(0), x.size(1), pixels, (pixels + kBlockPixels - 1) / kBlockPixels};
  const Affine affine = affine_of(images, weight, bias, groups, eps);
  at::Tensor out = workspace.empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast);
  auto* target = static_cast<char*>(out.mutable_data_ptr());
  const auto* start = static_cast<const char*>(x.const_data_ptr());
  at::parallel_for(0, images.batch * images.blocks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / images.blocks;
      const int64_t block = task % images.blocks;
      const char* from = images.block(image, block * kBlockPixels);
      kernels->scale_shift(from, target + (from - start), images.block_pixels(block), images.channels,
                           affine.scale.data() + image * images.channels,
                           affine.shift.data() + image * images.channels, with_silu);
    }
  });
  return out;
}

}  // namespace asdm
