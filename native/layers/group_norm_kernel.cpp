#include "native/layers/group_norm_kernel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "native/layers/channel_sums.h"
#include "native/layers/cpu_kernels.h"

namespace asdm {
namespace {

using simd::Kernels;

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
  if (!reads_images(kernels, x) || x.size(1) % groups != 0 || records_gradient(weight) || records_gradient(bias)) {
    return {};
  }
  const Images images(*kernels, x);
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
                           affine.scale.data() + image * images.channels, affine.shift.data() + image * images.channels,
                           with_silu);
    }
  });
  return out;
}

}  // namespace asdm
