// The UNet as a graph of addressed nodes (blocks, their layers, the units of these), derived from its spec. Numbers are
// those of the checkpoint.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/base/node_id.h"
#include "native/format/unet_layout.h"
#include "native/layers/res_block.h"
#include "native/layers/spatial_transformer.h"

namespace asdm {

/// What a node of the graph stands for.
enum class NodeKind {
  kBlock,
  kWhole,  ///< "out": the prediction of the whole UNet
  kLayer,
  kUnit,
  kGuidance,  ///< "guidance": the prediction for uncond less that for cond
  kControl,   ///< "control": the residuals of the host's ControlNets, which are computed outside of the UNet
};

/// One layer of a block.
struct LayerTopology : LayerLayout {
  SpatialTransformer::Shape transformer;  ///< for kTransformer
  ResExperts experts = {};                ///< for kRes
  NodeId node = -1;
  NodeId first_unit = -1;  ///< node of its unit 0; the others follow (native/layers/unit_port.h has their order)
  int64_t units = 0;

  /// True where the layer is x plus something: what is inherited of it is that something, unless asked otherwise.
  [[nodiscard]] bool is_residual() const { return kind == LayerKind::kRes || kind == LayerKind::kTransformer; }
};

/// One block: a node of the graph.
struct BlockTopology {
  BlockKind kind = BlockKind::kInput;
  int64_t number = 0;   ///< number in the checkpoint
  std::string address;  ///< "in.4", "mid", "out.9"
  int64_t level = 0;    ///< resolution of its input is the latent's over 2^level
  int64_t out_channels = 0;
  NodeId skip = -1;  ///< the input block whose skip an output block takes
  std::vector<LayerTopology> layers;
};

/// One node: something that has a value in each call, and that can be inherited.
struct Node {
  std::string address;
  NodeKind kind = NodeKind::kBlock;
  int64_t block = -1;    ///< index into Topology::blocks; -1 where it is no part of a block
  int64_t layer = -1;    ///< index into the block's layers, for layers and units
  int64_t channels = 0;  ///< of its value
  int64_t level = 0;     ///< the size of its value is the latent's over 2^level, rounded up
};

/// All blocks in evaluation order, and all nodes. Node ids are indices into `nodes`; those below blocks.size() are also
/// indices into `blocks`. The whole UNet follows, then all layers, all units, the guidance and the control.
struct Topology {
  std::vector<BlockTopology> blocks;
  std::vector<Node> nodes;

  [[nodiscard]] NodeId whole() const { return static_cast<NodeId>(blocks.size()); }
  [[nodiscard]] NodeId guidance() const { return static_cast<NodeId>(nodes.size()) - 2; }
  [[nodiscard]] NodeId control() const { return static_cast<NodeId>(nodes.size()) - 1; }
  [[nodiscard]] const Node& node(NodeId id) const { return nodes[static_cast<size_t>(id)]; }
  [[nodiscard]] const BlockTopology& block(NodeId id) const { return blocks[static_cast<size_t>(id)]; }
  /// The layer that `node`, a layer or a unit, is or belongs to.
  [[nodiscard]] const LayerTopology& layer(const Node& node) const {
    return block(node.block).layers[static_cast<size_t>(node.layer)];
  }
  /// The block with this number in the checkpoint; -1 where this UNet lacks it.
  [[nodiscard]] NodeId input(int64_t number) const { return find(BlockKind::kInput, number); }
  [[nodiscard]] NodeId middle() const { return find(BlockKind::kMiddle, 0); }
  [[nodiscard]] NodeId output(int64_t number) const { return find(BlockKind::kOutput, number); }
  /// Whether block `id` belongs to the encoder; its value then is also a skip.
  [[nodiscard]] bool is_input(NodeId id) const { return block(id).kind == BlockKind::kInput; }
  /// The first of the output blocks, which come last.
  [[nodiscard]] NodeId first_output() const;

 private:
  [[nodiscard]] NodeId find(BlockKind kind, int64_t number) const;
};

[[nodiscard]] Topology make_topology(const UNetSpec& spec);

/// The address of every node, by node id: "in.4", "out", "in.4.res", "in.4.attn.0.attn1", "in.4.res.conv", "guidance".
[[nodiscard]] std::vector<std::string> all_addresses(const Topology& topology);

}  // namespace asdm
