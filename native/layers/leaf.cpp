#include "native/layers/leaf.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <utility>

#include "native/layers/cpu_kernels.h"
#include "native/layers/group_norm_kernel.h"
#include "native/layers/linear_kernel.h"

namespace asdm {
namespace {

constexpr int64_t kGroups = 32;

/// What the host's leaf makes of an image, in the order in memory that x has.
at::Tensor host_image(LayerContext& layer, LeafId leaf, const at::Tensor& x) {
  const at::Tensor out = layer.host->leaf(leaf, x.contiguous());
  return x.is_contiguous() ? out : out.contiguous(at::MemoryFormat::ChannelsLast);
}

/// A convolution of the host's, and what else was to ride along with it.
at::Tensor host_convolution(LayerContext& layer, LeafId leaf, const at::Tensor& x, const ConvolutionExtras& extras) {
  const at::Tensor input = extras.size.empty() ? x : at::upsample_nearest2d(x, extras.size);
  at::Tensor out = host_image(layer, leaf, input);
  if (extras.shift.defined()) {
    out = out + extras.shift.unsqueeze(-1).unsqueeze(-1);
  }
  return with_residual(out, extras.residual);
}

}  // namespace

at::Tensor with_residual(const at::Tensor& out, const at::Tensor& residual) {
  return residual.defined() ? residual + out : out;
}

LeafId ModuleTable::add(LeafInfo leaf) {
  leaves_.push_back(std::move(leaf));
  return static_cast<LeafId>(leaves_.size()) - 1;
}

PartId ModuleTable::add_part(std::string name) {
  parts_.push_back(std::move(name));
  return static_cast<PartId>(parts_.size()) - 1;
}

Linear::Linear(ModuleTable& table, std::string name, int64_t in_features, int64_t out_features, bool bias)
    : leaf_(table.add({std::move(name), LeafKind::kLinear, {out_features, in_features}, bias})) {}

at::Tensor Linear::operator()(const at::Tensor& x, LayerContext& layer, const at::Tensor& residual) const {
  if (layer.host_runs_leaf(leaf_)) {
    return with_residual(layer.host->leaf(leaf_, x.contiguous()), residual);
  }
  const LeafTensors leaf = layer.weights.fetch(leaf_, x);
  return linear(x, leaf.weight, leaf.bias, residual, layer.workspace);
}

at::Tensor Linear::remembered(const at::Tensor& x, LayerContext& layer, Projections* known) const {
  if (known == nullptr || layer.host_runs_leaf(leaf_)) {  // what the host's leaf gives may differ from call to call
    return (*this)(x, layer);
  }
  if (at::Tensor before = known->find(leaf_); before.defined()) {
    return before;
  }
  at::Tensor out = (*this)(x, layer);
  known->keep(leaf_, out);
  return out;
}

at::Tensor Linear::gated(const at::Tensor& x, LayerContext& layer) const {
  if (layer.host_runs_leaf(leaf_)) {
    const std::vector<at::Tensor> halves = layer.host->leaf(leaf_, x.contiguous()).chunk(2, -1);
    return halves[0] * at::gelu(halves[1]);
  }
  const LeafTensors leaf = layer.weights.fetch(leaf_, x);
  return geglu(x, leaf.weight, leaf.bias, layer.workspace);
}

Conv2d::Conv2d(ModuleTable& table, std::string name, int64_t in_channels, int64_t out_channels, int64_t kernel,
               int64_t stride)
    : leaf_(table.add({std::move(name), LeafKind::kConv2d, {out_channels, in_channels, kernel, kernel}, true})),
      stride_(stride) {}

at::Tensor Conv2d::operator()(const at::Tensor& x, LayerContext& layer, const ConvolutionExtras& extras) const {
  if (layer.host_runs_leaf(leaf_)) {
    return host_convolution(layer, leaf_, x, extras);
  }
  const LeafTensors leaf = layer.weights.fetch(leaf_, x);
  return convolution(x, leaf.weight, leaf.bias, stride_, extras, layer.workspace);
}

at::Tensor Conv2d::part(const at::Tensor& x, int64_t first, LayerContext& layer,
                        const ConvolutionExtras& extras) const {
  const LeafTensors leaf = layer.weights.fetch(leaf_, x);
  const at::Tensor weight = leaf.weight.narrow(1, first, x.size(1)).contiguous();
  const bool is_last = first + x.size(1) == leaf.weight.size(1);
  return convolution(x, weight, is_last ? leaf.bias : at::Tensor(), stride_, extras, layer.workspace);
}

at::Tensor Conv2d::on_tokens(const at::Tensor& x, int64_t height, LayerContext& layer,
                             const at::Tensor& residual) const {
  if (layer.host_runs_leaf(leaf_)) {
    const at::Tensor image = x.unflatten(1, {height, -1}).permute({0, 3, 1, 2});
    const at::Tensor out = layer.host->leaf(leaf_, image.contiguous());
    return with_residual(out.permute({0, 2, 3, 1}).flatten(1, 2).contiguous(), residual);
  }
  const LeafTensors leaf = layer.weights.fetch(leaf_, x);
  return linear(x, leaf.weight.flatten(1), leaf.bias, residual, layer.workspace);
}

GroupNorm::GroupNorm(ModuleTable& table, std::string name, int64_t channels, double eps)
    : leaf_(table.add({std::move(name), LeafKind::kGroupNorm, {channels}, true})), channels_(channels), eps_(eps) {}

at::Tensor GroupNorm::operator()(const at::Tensor& x, LayerContext& layer) const {
  if (layer.host_runs_leaf(leaf_)) {
    return host_image(layer, leaf_, x);
  }
  return run(x, layer.weights.fetch(leaf_, x), layer, false);
}

at::Tensor GroupNorm::silu(const at::Tensor& x, LayerContext& layer) const {
  if (layer.host_runs_leaf(leaf_)) {
    return at::silu(host_image(layer, leaf_, x));
  }
  return run(x, layer.weights.fetch(leaf_, x), layer, true);
}

at::Tensor GroupNorm::silu_part(const at::Tensor& x, int64_t first, LayerContext& layer) const {
  LeafTensors leaf = layer.weights.fetch(leaf_, x);
  leaf.weight = leaf.weight.narrow(0, first, x.size(1));
  leaf.bias = leaf.bias.narrow(0, first, x.size(1));
  return run(x, leaf, layer, true);
}

int64_t GroupNorm::group_size() const { return channels_ / kGroups; }

int64_t GroupNorm::in_whole_groups(int64_t channels) const { return channels / group_size() * group_size(); }

at::Tensor GroupNorm::run(const at::Tensor& x, const LeafTensors& leaf, LayerContext& layer, bool with_silu) const {
  const int64_t groups = x.size(1) / group_size();
  if (at::Tensor out = cpu_group_norm(x, leaf.weight, leaf.bias, groups, eps_, with_silu, layer.workspace);
      out.defined()) {
    return out;
  }
  // In channels_last the backward of torch 2.13 writes the input's gradient even where none is wanted, into nothing.
  const bool trains_alone = !records_gradient(x) && (records_gradient(leaf.weight) || records_gradient(leaf.bias));
  const at::Tensor normed = at::group_norm(trains_alone ? x.contiguous() : x, groups, leaf.weight, leaf.bias, eps_);
  return with_silu ? at::silu(normed) : normed;
}

LayerNorm::LayerNorm(ModuleTable& table, std::string name, int64_t channels)
    : leaf_(table.add({std::move(name), LeafKind::kLayerNorm, {channels}, true})), channels_(channels) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x, LayerContext& layer) const {
  if (layer.host_runs_leaf(leaf_)) {
    return layer.host->leaf(leaf_, x.contiguous());
  }
  const LeafTensors leaf = layer.weights.fetch(leaf_, x);
  return at::layer_norm(x, {channels_}, leaf.weight, leaf.bias, 1e-5);
}

}  // namespace asdm
