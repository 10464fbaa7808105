#include "native/layers/resample.h"

namespace asdm {

Downsample::Downsample(ModuleTable& table, const std::string& name, int64_t channels)
    : op_(table, name + ".op", channels, channels, 3, 2) {}

at::Tensor Downsample::operator()(const at::Tensor& x, LayerContext& layer) const { return op_(x, layer); }

Upsample::Upsample(ModuleTable& table, const std::string& name, int64_t channels)
    : conv_(table, name + ".conv", channels, channels, 3) {}

at::Tensor Upsample::operator()(const at::Tensor& x, int64_t height, int64_t width, LayerContext& layer) const {
  const int64_t size[] = {height, width};
  return conv_(x, layer, {.size = size, .shift = {}, .residual = {}});
}

}  // namespace asdm
