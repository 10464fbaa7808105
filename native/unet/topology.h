// The UNet as a list of addressed blocks, derived from its spec. Numbers are those of the checkpoint.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/format/unet_spec.h"
#include "native/inheritance/feature_store.h"
#include "native/layers/spatial_transformer.h"

namespace asdm {

enum class BlockKind { kInput, kMiddle, kOutput };
enum class LayerKind { kConv, kRes, kTransformer, kDown, kUp };

[[nodiscard]] std::string_view to_string(BlockKind kind);

/// One layer of a block.
struct LayerTopology {
  LayerKind kind = LayerKind::kRes;
  std::string key;      ///< checkpoint prefix, e.g. "input_blocks.4.0"
  std::string address;  ///< e.g. "in.4.res", "mid.res0", "out.8.up"
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  SpatialTransformer::Shape transformer;  ///< for kTransformer
  int64_t transformer_index = 0;          ///< ordinal among all transformers, evaluation order
};

/// One block: a node of the graph.
struct BlockTopology {
  BlockKind kind = BlockKind::kInput;
  int64_t number = 0;   ///< number in the checkpoint
  std::string address;  ///< "in.4", "mid", "out.9"
  int64_t level = 0;    ///< resolution of its input is the latent's over 2^level
  int64_t out_channels = 0;
  std::vector<LayerTopology> layers;
};

/// All blocks in evaluation order. Node ids are indices into `blocks`.
struct Topology {
  std::vector<BlockTopology> blocks;
  int64_t inputs = 0;   ///< number of input blocks
  int64_t outputs = 0;  ///< number of output blocks

  [[nodiscard]] NodeId input(int64_t number) const { return number; }
  [[nodiscard]] NodeId middle() const { return inputs; }
  [[nodiscard]] NodeId output(int64_t number) const { return inputs + 1 + number; }
  /// The input block whose skip output block `number` takes.
  [[nodiscard]] NodeId skip_of_output(int64_t number) const { return inputs - 1 - number; }
};

[[nodiscard]] Topology make_topology(const UNetSpec& spec);

/// Every address of the UNet: blocks, layers, and the units of transformer blocks ("in.4.attn.0.attn1").
[[nodiscard]] std::vector<std::string> all_addresses(const Topology& topology);

}  // namespace asdm
