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

/// The input of a ResBlock in two parts, of which the first was the same in calls before.
struct HeldJoin {
  at::Tensor held;
  at::Tensor fresh;
};

/// What a ResBlock makes of the held part alone; undefined where it was not asked yet.
struct HeldSums {
  at::Tensor conv1;  ///< conv1 over the channels of the groups of norm1 that lie in the held part
  at::Tensor skip;   ///< the skip connection over all of its channels
};

/// y = skip(x) + conv2(silu(norm2(conv1(silu(norm1 x)) + emb_layers(silu emb)))).
class ResBlock {
 public:
  ResBlock(ModuleTable& table, const std::string& name, int64_t channels, int64_t emb_channels, int64_t out_channels,
           const ResExperts& experts = {});

  /// x [batch, channels, height, width], emb [batch, emb_channels] -> [batch, out_channels, height, width].
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const;
  /// The same within rounding, with x in two parts. Takes what it makes of the held part from `sums`, or puts it there.
  /// Only where splits().
  at::Tensor operator()(const HeldJoin& x, const at::Tensor& emb, HeldSums& sums, LayerContext& layer) const;
  /// Whether what this layer makes of its input is a sum over the input's channels.
  [[nodiscard]] bool splits(const LayerContext& layer) const;
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
