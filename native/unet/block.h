// One block of the UNet, ready to run.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "native/inheritance/call_features.h"
#include "native/layers/res_block.h"
#include "native/layers/resample.h"
#include "native/layers/spatial_transformer.h"
#include "native/unet/topology.h"

namespace asdm {

/// Layers of one block, applied in order; those that are inherited are not run, nor what only they need.
class Block {
 public:
  /// `number`: among the blocks of the UNet.
  Block(ModuleTable& table, const BlockTopology& topology, int64_t emb_channels, int64_t number);

  /// Whether the first layer, where it runs, may take its input in two parts: it is a ResBlock that splits, and nothing
  /// inside it is inherited or kept.
  [[nodiscard]] bool splits(const CallFeatures& features, const LayerContext& layer) const;

  /// The layers from number `first` on, on h [batch, channels, height, width], undefined where it is not needed;
  /// `inputs`: what they get beside it. Throws InheritedFeatureMisfit.
  at::Tensor run_from(size_t first, at::Tensor h, const PartInputs& inputs, LayerContext& layer,
                      CallFeatures& features) const;
  /// All layers on h in two parts, within rounding the same; only where splits().
  at::Tensor operator()(const HeldJoin& h, HeldSums& sums, const PartInputs& inputs, LayerContext& layer,
                        CallFeatures& features) const;

 private:
  using Operation = std::variant<Conv2d, ResBlock, SpatialTransformer, Downsample, Upsample>;
  struct Layer {
    Operation operation;
    LayerTopology topology;
    std::string name;  ///< inside the block: "res", "attn", "up"
    PartId part;
  };
  static Operation make_operation(ModuleTable& table, const LayerTopology& topology, int64_t emb_channels);
  /// What other packs have put before layer `position`, applied to h.
  at::Tensor with_injected(size_t position, at::Tensor h, const PartInputs& inputs, LayerContext& layer) const;
  static at::Tensor run(const Layer& step, const at::Tensor& h, const PartInputs& inputs, LayerContext layer,
                        CallFeatures& features);
  /// The same by the host's module.
  static at::Tensor run_hosts(const Layer& step, const at::Tensor& h, const PartInputs& inputs, LayerContext& layer,
                              CallFeatures& features);
  /// A residual layer in two summands: what goes past it, and what it adds.
  static at::Tensor trunk(const Layer& step, const at::Tensor& h, LayerContext& layer);
  static at::Tensor delta(const Layer& step, const at::Tensor& h, const PartInputs& inputs, LayerContext& layer);
  static at::Tensor compute(const Layer& step, const at::Tensor& h, const PartInputs& inputs, LayerContext& layer);

  int64_t number_;  ///< among the blocks of the UNet
  std::vector<Layer> layers_;
};

}  // namespace asdm
