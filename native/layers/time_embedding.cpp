#include "native/layers/time_embedding.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros.h>

#include <cmath>

namespace asdm {

at::Tensor timestep_features(const at::Tensor& timesteps, int64_t dim) {
  constexpr double kMaxPeriod = 10000.0;
  const int64_t half = dim / 2;
  const auto options = timesteps.options().dtype(at::kFloat);
  const at::Tensor rates = at::exp(at::arange(0, half, options) * -std::log(kMaxPeriod) / static_cast<double>(half));
  const at::Tensor angles = timesteps.to(at::kFloat).unsqueeze(1) * rates.unsqueeze(0);
  at::Tensor features = at::cat({at::cos(angles), at::sin(angles)}, 1);
  if (dim % 2 != 0) {
    features = at::cat({features, at::zeros({features.size(0), 1}, options)}, 1);
  }
  return features;
}

EmbeddingMlp::EmbeddingMlp(ModuleTable& table, const std::string& name, int64_t in_features, int64_t out_features)
    : first_(table, name + ".0", in_features, out_features), second_(table, name + ".2", out_features, out_features) {}

at::Tensor EmbeddingMlp::operator()(const at::Tensor& x, LayerContext& layer) const {
  return second_(at::silu(first_(x, layer)), layer);
}

}  // namespace asdm
