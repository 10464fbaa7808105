// One block of the UNet, ready to run.
#pragma once

#include <string>
#include <variant>
#include <vector>

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

/// Layers of one block, applied in order.
class Block {
 public:
  Block(LeafTable& table, const BlockTopology& topology, int64_t emb_channels);

  /// h [batch, channels, height, width]; `up_height` x `up_width`: target of an Upsample in this block.
  at::Tensor operator()(at::Tensor h, const Conditioning& conditioning, int64_t up_height, int64_t up_width,
                        LayerContext& layer) const;

 private:
  using Layer = std::variant<Conv2d, ResBlock, SpatialTransformer, Downsample, Upsample>;
  static Layer make_layer(LeafTable& table, const LayerTopology& topology, int64_t emb_channels);

  static at::Tensor run(const Layer& step, at::Tensor h, const Conditioning& conditioning, int64_t up_height,
                        int64_t up_width, LayerContext& layer);

  std::vector<Layer> layers_;
  std::vector<std::string> names_;  ///< of each layer, inside the block: "res", "attn", "up"
};

}  // namespace asdm
