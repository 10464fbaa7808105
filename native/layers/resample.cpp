#include "native/layers/resample.h"

#include <ATen/ops/upsample_nearest2d.h>

namespace asdm {

Downsample::Downsample(LeafTable& table, const std::string& name, int64_t channels)
    : op_(table, name + ".op", channels, channels, 3, 2) {}

at::Tensor Downsample::operator()(const at::Tensor& x, WeightSource& weights) const { return op_(x, weights); }

Upsample::Upsample(LeafTable& table, const std::string& name, int64_t channels)
    : conv_(table, name + ".conv", channels, channels, 3) {}

at::Tensor Upsample::operator()(const at::Tensor& x, int64_t height, int64_t width, WeightSource& weights) const {
  return conv_(at::upsample_nearest2d(x, {height, width}), weights);
}

}  // namespace asdm
