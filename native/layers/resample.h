// Changes of resolution between the levels of a UNet.
#pragma once

#include <string>

#include "native/layers/leaf.h"

namespace asdm {

/// 3x3 convolution of stride 2: [batch, channels, height, width] -> half the size, rounded up.
class Downsample {
 public:
  Downsample(ModuleTable& table, const std::string& name, int64_t channels);
  at::Tensor operator()(const at::Tensor& x, LayerContext& layer) const;

 private:
  Conv2d op_;
};

/// Nearest-neighbour resize to `height` x `width`, then a 3x3 convolution. The size is the next skip's, so that odd
/// sizes meet again.
class Upsample {
 public:
  Upsample(ModuleTable& table, const std::string& name, int64_t channels);
  at::Tensor operator()(const at::Tensor& x, int64_t height, int64_t width, LayerContext& layer) const;

 private:
  Conv2d conv_;
};

}  // namespace asdm
