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

/// What a block is conditioned on.
struct Conditioning {
  at::Tensor emb;      ///< [batch, 4 * model_channels]
  at::Tensor context;  ///< [batch, context tokens, context_dim]
};

/// Layers of one block, applied in order; those that are inherited are not run, nor what only they need.
class Block {
 public:
  Block(LeafTable& table, const BlockTopology& topology, int64_t emb_channels);

  /// False where the output of one of its layers is inherited: what comes before is then not needed.
  [[nodiscard]] bool needs_input(const CallFeatures& features) const;

  /// Whether the first layer may take its input in two parts: it is a ResBlock that splits, and nothing inside it is
  /// inherited or kept.
  [[nodiscard]] bool splits(const CallFeatures& features) const;

  /// h [batch, channels, height, width], undefined where it is not needed; `up_height` x `up_width`: target of an
  /// Upsample in this block. Throws InheritedFeatureMisfit.
  at::Tensor operator()(at::Tensor h, const Conditioning& conditioning, int64_t up_height, int64_t up_width,
                        LayerContext& layer, CallFeatures& features) const;
  /// The same within rounding for h in two parts; only where splits().
  at::Tensor operator()(const HeldJoin& h, HeldSums& sums, const Conditioning& conditioning, int64_t up_height,
                        int64_t up_width, LayerContext& layer, CallFeatures& features) const;

 private:
  using Operation = std::variant<Conv2d, ResBlock, SpatialTransformer, Downsample, Upsample>;
  struct Layer {
    Operation operation;
    LayerTopology topology;
    std::string name;  ///< inside the block: "res", "attn", "up"
  };
  static Operation make_operation(LeafTable& table, const LayerTopology& topology, int64_t emb_channels);
  /// The first layer to be run or inherited.
  [[nodiscard]] size_t start(const CallFeatures& features) const;

  /// The layers from `first` on.
  at::Tensor run_from(size_t first, at::Tensor h, const Conditioning& conditioning, int64_t up_height,
                      int64_t up_width, LayerContext& layer, CallFeatures& features) const;
  static at::Tensor run(const Layer& step, const at::Tensor& h, const Conditioning& conditioning, int64_t up_height,
                        int64_t up_width, LayerContext layer, CallFeatures& features);
  /// A residual layer in two summands: what goes past it, and what it adds.
  static at::Tensor trunk(const Layer& step, const at::Tensor& h, LayerContext& layer);
  static at::Tensor delta(const Layer& step, const at::Tensor& h, const Conditioning& conditioning,
                          LayerContext& layer);
  static at::Tensor compute(const Layer& step, const at::Tensor& h, const Conditioning& conditioning,
                            int64_t up_height, int64_t up_width, LayerContext& layer);

  std::vector<Layer> layers_;
};

}  // namespace asdm
