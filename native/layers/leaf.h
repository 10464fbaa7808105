// The parameter-carrying leaves: linear, convolution, normalisation. Each knows its place in the table of leaves.
#pragma once

#include <string>
#include <vector>

#include "native/layers/convolution_kernel.h"
#include "native/layers/layer_context.h"

namespace asdm {

/// Collects the modules that a UNet is made of while it is built, under their checkpoint names.
class ModuleTable {
 public:
  LeafId add(LeafInfo leaf);
  PartId add_part(std::string name);
  [[nodiscard]] const std::vector<LeafInfo>& leaves() const noexcept { return leaves_; }
  [[nodiscard]] const std::vector<std::string>& parts() const noexcept { return parts_; }

 private:
  std::vector<LeafInfo> leaves_;
  std::vector<std::string> parts_;
};

/// What a module of the host's gave, and the residual that a layer of the engine would have added in passing;
/// `residual` may be undefined.
[[nodiscard]] at::Tensor with_residual(const at::Tensor& out, const at::Tensor& residual);

/// y = x W^T + b over the last dimension.
class Linear {
 public:
  Linear(ModuleTable& table, std::string name, int64_t in_features, int64_t out_features, bool bias = true);
  /// [..., in] -> [..., out], plus `residual` of that shape where it is defined.
  at::Tensor operator()(const at::Tensor& x, LayerContext& layer, const at::Tensor& residual = {}) const;
  /// The same, or what was made of x before: `known` belongs to x, or is null.
  at::Tensor remembered(const at::Tensor& x, LayerContext& layer, Projections* known) const;
  /// GEGLU: a * gelu(g) with [a, g] = y; [..., in] -> [..., out / 2].
  at::Tensor gated(const at::Tensor& x, LayerContext& layer) const;

 private:
  LeafId leaf_;
};

/// 2-D convolution, same padding (kernel / 2), channels_last in and out where the input is.
class Conv2d {
 public:
  Conv2d(ModuleTable& table, std::string name, int64_t in_channels, int64_t out_channels, int64_t kernel,
         int64_t stride = 1);
  /// [batch, in, height, width] -> [batch, out, height / stride, width / stride]
  at::Tensor operator()(const at::Tensor& x, LayerContext& layer, const ConvolutionExtras& extras = {}) const;
  /// What the input channels from `first` on, as many as x has, bring to the whole convolution with stride 1; what the
  /// others bring is added as a residual. The bias goes with the last ones.
  at::Tensor part(const at::Tensor& x, int64_t first, LayerContext& layer, const ConvolutionExtras& extras = {}) const;
  /// The 1x1 form on the tokens of images of `height`: [batch, tokens, in] -> [batch, tokens, out], plus `residual`
  /// where it is defined.
  at::Tensor on_tokens(const at::Tensor& x, int64_t height, LayerContext& layer, const at::Tensor& residual = {}) const;
  /// Whether part() has the weights that it needs.
  [[nodiscard]] bool has_parts(const LayerContext& layer) const { return !layer.host_runs_leaf(leaf_); }

 private:
  LeafId leaf_;
  int64_t stride_;
};

/// GroupNorm over 32 groups.
class GroupNorm {
 public:
  GroupNorm(ModuleTable& table, std::string name, int64_t channels, double eps);
  at::Tensor operator()(const at::Tensor& x, LayerContext& layer) const;
  /// The same, then SiLU.
  at::Tensor silu(const at::Tensor& x, LayerContext& layer) const;
  /// The same of some groups alone: x has the channels from `first` on, and both ends lie between groups.
  at::Tensor silu_part(const at::Tensor& x, int64_t first, LayerContext& layer) const;
  /// The most of the first `channels` that whole groups take.
  [[nodiscard]] int64_t in_whole_groups(int64_t channels) const;
  /// Whether silu_part() has the weights that it needs.
  [[nodiscard]] bool has_parts(const LayerContext& layer) const { return !layer.host_runs_leaf(leaf_); }

 private:
  [[nodiscard]] int64_t group_size() const;
  at::Tensor run(const at::Tensor& x, const LeafTensors& leaf, LayerContext& layer, bool with_silu) const;

  LeafId leaf_;
  int64_t channels_;
  double eps_;
};

/// LayerNorm over the last dimension, eps 1e-5.
class LayerNorm {
 public:
  LayerNorm(ModuleTable& table, std::string name, int64_t channels);
  at::Tensor operator()(const at::Tensor& x, LayerContext& layer) const;

 private:
  LeafId leaf_;
  int64_t channels_;
};

}  // namespace asdm
