#include "native/unet/topology.h"

#include <algorithm>
#include <map>
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
  for (const int64_t number : layer.transformer.block_numbers) {
    for (const char* unit : {"attn1", "attn2", "ff"}) {
      names.push_back(std::to_string(number) + "." + unit);
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

SpatialTransformer::Shape transformer_of(const LayerLayout& layer, const UNetSpec& spec) {
  const bool by_width = spec.num_head_channels != -1;
  const int64_t channels = layer.out_channels;
  const int64_t heads = by_width ? channels / spec.num_head_channels : spec.num_heads;
  return {.channels = channels,
          .heads = heads,
          .dim_head = channels / heads,
          .context_dim = spec.context_dim,
          .use_linear = spec.use_linear_in_transformer,
          .block_numbers = layer.transformer_blocks};
}

ResExperts experts_of(const LayerLayout& layer, const UNetSpec& spec) {
  ResExperts experts;
  for (const MECondConvSite& site : spec.me_cond_conv) {
    if (site.site == layer.address + ".conv1") {
      experts.conv1 = site.routing;
    } else if (site.site == layer.address + ".conv2") {
      experts.conv2 = site.routing;
    }
  }
  return experts;
}

BlockTopology block_of(const BlockLayout& layout, const UNetSpec& spec) {
  BlockTopology block{.kind = layout.kind,
                      .number = layout.number,
                      .address = layout.address,
                      .level = layout.level,
                      .out_channels = layout.out_channels,
                      .skip = -1,
                      .layers = {}};
  for (const LayerLayout& layer : layout.layers) {
    block.layers.push_back({layer, {}, experts_of(layer, spec)});
    if (layer.kind == LayerKind::kTransformer) {
      block.layers.back().transformer = transformer_of(layer, spec);
    }
  }
  return block;
}

}  // namespace

NodeId Topology::find(BlockKind kind, int64_t number) const {
  const auto found = std::find_if(blocks.begin(), blocks.end(), [&](const BlockTopology& block) {
    return block.kind == kind && block.number == number;
  });
  return found == blocks.end() ? -1 : found - blocks.begin();
}

NodeId Topology::first_output() const {
  const auto found = std::find_if(blocks.begin(), blocks.end(),
                                  [](const BlockTopology& block) { return block.kind == BlockKind::kOutput; });
  return found - blocks.begin();
}

Topology make_topology(const UNetSpec& spec) {
  spec.validate();
  Topology topology;
  std::map<int64_t, NodeId> inputs;  // node of each input block, by number
  for (const BlockLayout& layout : make_layout(spec)) {
    BlockTopology block = block_of(layout, spec);
    if (layout.kind == BlockKind::kInput) {
      inputs[layout.number] = static_cast<NodeId>(topology.blocks.size());
    }
    if (layout.skip >= 0) {
      block.skip = inputs.at(layout.skip);
    }
    topology.blocks.push_back(std::move(block));
  }
  add_nodes(topology, spec.out_channels);
  return topology;
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
