// The residual block with its time-embedding injection.
#pragma once

#include <optional>
#include <string>

#include "native/layers/layer_context.h"
#include "native/layers/leaf.h"

namespace asdm {

/// y = skip(x) + conv2(silu(norm2(conv1(silu(norm1 x)) + emb_layers(silu emb)))).
class ResBlock {
 public:
  ResBlock(LeafTable& table, const std::string& name, int64_t channels, int64_t emb_channels, int64_t out_channels);

  /// x [batch, channels, height, width], emb [batch, emb_channels] -> [batch, out_channels, height, width].
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const;
  /// The two summands of y: skip(x) ...
  at::Tensor trunk(const at::Tensor& x, LayerContext& layer) const;
  /// ... and the rest; both [batch, out_channels, height, width].
  at::Tensor delta(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const;

  [[nodiscard]] int64_t in_channels() const noexcept { return in_channels_; }
  [[nodiscard]] int64_t out_channels() const noexcept { return out_channels_; }

 private:
  /// conv1 with the embedding shift: what norm2 sees.
  at::Tensor shifted(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const;

  int64_t in_channels_;
  int64_t out_channels_;
  GroupNorm norm1_;
  Conv2d conv1_;
  Linear emb_;
  GroupNorm norm2_;
  Conv2d conv2_;
  std::optional<Conv2d> skip_;
};

}  // namespace asdm
