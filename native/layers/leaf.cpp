#include "native/layers/leaf.h"

#include <optional>
#include <utility>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/layer_norm.h>

#include "native/layers/linear_kernel.h"

namespace asdm {
namespace {

constexpr int64_t kGroups = 32;

std::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

}  // namespace

LeafId LeafTable::add(LeafInfo leaf) {
  leaves_.push_back(std::move(leaf));
  return static_cast<LeafId>(leaves_.size()) - 1;
}

Linear::Linear(LeafTable& table, std::string name, int64_t in_features, int64_t out_features, bool bias)
    : leaf_(table.add({std::move(name), LeafKind::kLinear, {out_features, in_features}, bias})) {}

at::Tensor Linear::operator()(const at::Tensor& x, WeightSource& weights) const {
  const LeafTensors leaf = weights.fetch(leaf_, x);
  return linear(x, leaf.weight, leaf.bias);
}

Conv2d::Conv2d(LeafTable& table, std::string name, int64_t in_channels, int64_t out_channels, int64_t kernel,
               int64_t stride)
    : leaf_(table.add({std::move(name), LeafKind::kConv2d, {out_channels, in_channels, kernel, kernel}, true})),
      kernel_(kernel),
      stride_(stride) {}

at::Tensor Conv2d::operator()(const at::Tensor& x, WeightSource& weights) const {
  const LeafTensors leaf = weights.fetch(leaf_, x);
  return at::conv2d(x, leaf.weight, optional(leaf.bias), stride_, kernel_ / 2);
}

at::Tensor Conv2d::on_tokens(const at::Tensor& x, WeightSource& weights) const {
  const LeafTensors leaf = weights.fetch(leaf_, x);
  return linear(x, leaf.weight.flatten(1), leaf.bias);
}

GroupNorm::GroupNorm(LeafTable& table, std::string name, int64_t channels, double eps)
    : leaf_(table.add({std::move(name), LeafKind::kGroupNorm, {channels}, true})), eps_(eps) {}

at::Tensor GroupNorm::operator()(const at::Tensor& x, WeightSource& weights) const {
  const LeafTensors leaf = weights.fetch(leaf_, x);
  return at::group_norm(x, kGroups, optional(leaf.weight), optional(leaf.bias), eps_);
}

LayerNorm::LayerNorm(LeafTable& table, std::string name, int64_t channels)
    : leaf_(table.add({std::move(name), LeafKind::kLayerNorm, {channels}, true})), channels_(channels) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x, WeightSource& weights) const {
  const LeafTensors leaf = weights.fetch(leaf_, x);
  return at::layer_norm(x, {channels_}, optional(leaf.weight), optional(leaf.bias), 1e-5);
}

}  // namespace asdm
