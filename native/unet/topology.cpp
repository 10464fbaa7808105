#include "native/unet/topology.h"

#include <utility>

namespace asdm {
namespace {

/// Resolution of a layer's value in a block whose input is at `level`.
int64_t level_behind(const LayerTopology& layer, int64_t level) {
  return level + (layer.kind == LayerKind::kDown ? 1 : 0) - (layer.kind == LayerKind::kUp ? 1 : 0);
}

/// Names of the units of `layer`, in the order of native/layers/unit_port.h.
std::vector<std::string> unit_names(const LayerTopology& layer) {
  if (layer.kind == LayerKind::kRes) {
    return {"conv"};
  }
  std::vector<std::string> names;
  for (int64_t i = 0; i < layer.transformer.depth; ++i) {
    for (const char* unit : {"attn1", "attn2", "ff"}) {
      names.push_back(std::to_string(i) + "." + unit);
    }
  }
  return names;
}

/// Lists the nodes of all `blocks` and tells each layer its own.
void add_nodes(Topology& topology, int64_t out_channels) {
  std::vector<Node>& nodes = topology.nodes;
  const auto next = [&] { return static_cast<NodeId>(nodes.size()); };
  for (const BlockTopology& block : topology.blocks) {
    const int64_t level = block.layers.empty() ? block.level : level_behind(block.layers.back(), block.level);
    nodes.push_back({block.address, NodeKind::kBlock, next(), -1, block.out_channels, level});
  }
  nodes.push_back({"out", NodeKind::kWhole, -1, -1, out_channels, 0});
  for (size_t b = 0; b < topology.blocks.size(); ++b) {
    BlockTopology& block = topology.blocks[b];
    for (size_t i = 0; i < block.layers.size(); ++i) {
      LayerTopology& layer = block.layers[i];
      layer.node = next();
      nodes.push_back({layer.address, NodeKind::kLayer, static_cast<int64_t>(b), static_cast<int64_t>(i),
                       layer.out_channels, level_behind(layer, block.level)});
    }
  }
  for (size_t b = 0; b < topology.blocks.size(); ++b) {
    BlockTopology& block = topology.blocks[b];
    for (size_t i = 0; i < block.layers.size(); ++i) {
      LayerTopology& layer = block.layers[i];
      const std::vector<std::string> names = unit_names(layer);
      layer.first_unit = next();
      layer.units = static_cast<int64_t>(names.size());
      for (const std::string& name : names) {
        nodes.push_back({layer.address + "." + name, NodeKind::kUnit, static_cast<int64_t>(b), static_cast<int64_t>(i),
                         layer.out_channels, block.level});
      }
    }
  }
  nodes.push_back({"guidance", NodeKind::kGuidance, -1, -1, out_channels, 0});
  nodes.push_back({"control", NodeKind::kControl, -1, -1, 0, 0});
}

/// Walks the spec in checkpoint order; follows the construction order of the ldm UNet.
class Builder {
 public:
  explicit Builder(const UNetSpec& spec) : spec_(spec), channels_(spec.model_channels) {}

  Topology build() {
    add_encoder();
    add_middle();
    add_decoder();
    add_nodes(topology_, spec_.out_channels);
    return std::move(topology_);
  }

 private:
  BlockTopology& begin(BlockKind kind, int64_t number) {
    BlockTopology block;
    block.kind = kind;
    block.number = number;
    block.level = level_;
    switch (kind) {
      case BlockKind::kInput:
        block.address = "in." + std::to_string(number);
        key_ = "input_blocks." + std::to_string(number);
        break;
      case BlockKind::kMiddle:
        block.address = "mid";
        key_ = "middle_block";
        break;
      case BlockKind::kOutput:
        block.address = "out." + std::to_string(number);
        key_ = "output_blocks." + std::to_string(number);
        break;
    }
    topology_.blocks.push_back(std::move(block));
    return topology_.blocks.back();
  }

  void add(BlockTopology& block, LayerKind kind, std::string_view name, int64_t in, int64_t out) {
    LayerTopology layer;
    layer.kind = kind;
    layer.key = key_ + "." + std::to_string(block.layers.size());
    layer.address = block.address + "." + std::string(name);
    layer.in_channels = in;
    layer.out_channels = out;
    block.layers.push_back(std::move(layer));
    block.out_channels = out;
    channels_ = out;
  }

  void add_transformer(BlockTopology& block, int64_t depth) {
    add(block, LayerKind::kTransformer, "attn", channels_, channels_);
    LayerTopology& layer = block.layers.back();
    const bool by_width = spec_.num_head_channels != -1;
    const int64_t heads = by_width ? channels_ / spec_.num_head_channels : spec_.num_heads;
    layer.transformer = {.channels = channels_,
                         .heads = heads,
                         .dim_head = channels_ / heads,
                         .depth = depth,
                         .context_dim = spec_.context_dim,
                         .use_linear = spec_.use_linear_in_transformer};
    layer.transformer_index = transformers_++;
  }

  void add_encoder() {
    int64_t number = 0;
    size_t res_blocks = 0;
    add(begin(BlockKind::kInput, number++), LayerKind::kConv, "conv", spec_.in_channels, spec_.model_channels);
    skip_channels_.push_back(channels_);
    for (size_t level = 0; level < spec_.channel_mult.size(); ++level) {
      for (int64_t i = 0; i < spec_.num_res_blocks[level]; ++i) {
        BlockTopology& block = begin(BlockKind::kInput, number++);
        add(block, LayerKind::kRes, "res", channels_, spec_.model_channels * spec_.channel_mult[level]);
        if (const int64_t depth = spec_.transformer_depth[res_blocks++]; depth > 0) {
          add_transformer(block, depth);
        }
        skip_channels_.push_back(channels_);
      }
      if (level + 1 < spec_.channel_mult.size()) {
        add(begin(BlockKind::kInput, number++), LayerKind::kDown, "down", channels_, channels_);
        skip_channels_.push_back(channels_);
        ++level_;
      }
    }
    topology_.inputs = number;
  }

  void add_middle() {
    BlockTopology& block = begin(BlockKind::kMiddle, 0);
    block.out_channels = channels_;
    if (spec_.transformer_depth_middle >= -1) {
      add(block, LayerKind::kRes, "res0", channels_, channels_);
    }
    if (spec_.transformer_depth_middle >= 0) {
      add_transformer(block, spec_.transformer_depth_middle);
      add(block, LayerKind::kRes, "res1", channels_, channels_);
    }
  }

  void add_decoder() {
    int64_t number = 0;
    size_t depths_left = spec_.transformer_depth_output.size();
    for (size_t level = spec_.channel_mult.size(); level-- > 0;) {
      for (int64_t i = 0; i <= spec_.num_res_blocks[level]; ++i) {
        BlockTopology& block = begin(BlockKind::kOutput, number++);
        const int64_t skip = skip_channels_.back();
        skip_channels_.pop_back();
        add(block, LayerKind::kRes, "res", channels_ + skip, spec_.model_channels * spec_.channel_mult[level]);
        if (const int64_t depth = spec_.transformer_depth_output[--depths_left]; depth > 0) {
          add_transformer(block, depth);
        }
        if (level > 0 && i == spec_.num_res_blocks[level]) {
          add(block, LayerKind::kUp, "up", channels_, channels_);
          --level_;
        }
      }
    }
    topology_.outputs = number;
  }

  const UNetSpec& spec_;
  Topology topology_;
  std::string key_;
  int64_t channels_;
  int64_t level_ = 0;
  int64_t transformers_ = 0;
  std::vector<int64_t> skip_channels_;
};

}  // namespace

std::string_view to_string(BlockKind kind) {
  switch (kind) {
    case BlockKind::kInput:
      return "input";
    case BlockKind::kMiddle:
      return "middle";
    case BlockKind::kOutput:
      return "output";
  }
  return "";
}

Topology make_topology(const UNetSpec& spec) {
  spec.validate();
  return Builder(spec).build();
}

std::vector<std::string> all_addresses(const Topology& topology) {
  std::vector<std::string> addresses;
  addresses.reserve(topology.nodes.size());
  for (const Node& node : topology.nodes) {
    addresses.push_back(node.address);
  }
  return addresses;
}

}  // namespace asdm
