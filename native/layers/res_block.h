// The residual block with its time-embedding injection.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "native/layers/layer_context.h"
#include "native/layers/leaf.h"
#include "native/layers/me_cond_conv.h"

namespace asdm {

/// Those of a ResBlock's convolutions that are ME-CondConv.
struct ResExperts {
  std::optional<ExpertRouting> conv1;
  std::optional<ExpertRouting> conv2;
};

/// y = skip(x) + conv2(silu(norm2(conv1(silu(norm1 x)) + emb_layers(silu emb)))).
class ResBlock {
 public:
  ResBlock(LeafTable& table, const std::string& name, int64_t channels, int64_t emb_channels, int64_t out_channels,
           const ResExperts& experts = {});

  /// x [batch, channels, height, width], emb [batch, emb_channels] -> [batch, out_channels, height, width].
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const;
  /// The two summands of y: skip(x) ...
  at::Tensor trunk(const at::Tensor& x, LayerContext& layer) const;
  /// ... and the rest; both [batch, out_channels, height, width].
  at::Tensor delta(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const;

  [[nodiscard]] int64_t in_channels() const noexcept { return in_channels_; }
  [[nodiscard]] int64_t out_channels() const noexcept { return out_channels_; }

 private:
  using Convolution = std::variant<Conv2d, MECondConv>;
  static at::Tensor convolve(const Convolution& convolution, const at::Tensor& x, const at::Tensor& emb,
                             LayerContext& layer, const ConvolutionExtras& extras);
  /// conv1 with the embedding shift: what norm2 sees.
  at::Tensor shifted(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const;

  int64_t in_channels_;
  int64_t out_channels_;
  GroupNorm norm1_;
  Convolution conv1_;
  Linear emb_;
  GroupNorm norm2_;
  Convolution conv2_;
  std::optional<Conv2d> skip_;
};

}  // namespace asdm
