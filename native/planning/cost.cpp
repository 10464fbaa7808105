#include "native/planning/cost.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "native/base/extents.h"

namespace asdm {
namespace {

/// Downsample rounds up.
SpatialSize at_level(SpatialSize size, int64_t level) {
  for (int64_t i = 0; i < level; ++i) {
    size = {(size.height + 1) / 2, (size.width + 1) / 2};
  }
  return size;
}

/// Units of one transformer block, by TransformerUnit.
std::array<int64_t, kTransformerUnits> transformer_units(const SpatialTransformer::Shape& shape, int64_t area,
                                                         int64_t tokens) {
  const int64_t c = shape.channels;
  return {area * 4 * c * c + 2 * area * area * c,
          area * 2 * c * c + tokens * 2 * c * shape.context_dim + 2 * area * tokens * c, area * 12 * c * c};
}

int64_t transformer_macs(const SpatialTransformer::Shape& shape, int64_t area, int64_t tokens) {
  const auto units = transformer_units(shape, area, tokens);
  return shape.depth() * std::accumulate(units.begin(), units.end(), int64_t{0}) +
         area * 2 * shape.channels * shape.channels;
}

/// A 3x3 convolution, with the mixing of its experts where it has several.
int64_t convolution_macs(int64_t in_channels, int64_t out_channels, int64_t area,
                         const std::optional<ExpertRouting>& experts) {
  return (area + (experts ? experts->experts : 0)) * 9 * in_channels * out_channels;
}

/// A ResBlock's first convolution.
int64_t conv_macs(const LayerTopology& layer, int64_t area) {
  return convolution_macs(layer.in_channels, layer.out_channels, area, layer.experts.conv1);
}

/// A ResBlock's skip connection.
int64_t skip_macs(const LayerTopology& layer, int64_t area) {
  return layer.in_channels == layer.out_channels ? 0 : area * layer.in_channels * layer.out_channels;
}

int64_t unit_macs(const LayerTopology& layer, int64_t unit, int64_t area, int64_t tokens) {
  return layer.kind == LayerKind::kRes
             ? conv_macs(layer, area)
             : transformer_units(layer.transformer, area, tokens)[static_cast<size_t>(unit % kTransformerUnits)];
}

int64_t layer_macs(const LayerTopology& layer, SpatialSize size, int64_t tokens) {
  switch (layer.kind) {
    case LayerKind::kConv:
    case LayerKind::kDown:
    case LayerKind::kUp:
      return convolution_macs(layer.in_channels, layer.out_channels, size.area(), std::nullopt);
    case LayerKind::kRes:
      return conv_macs(layer, size.area()) +
             convolution_macs(layer.out_channels, layer.out_channels, size.area(), layer.experts.conv2) +
             skip_macs(layer, size.area());
    case LayerKind::kTransformer:
      return transformer_macs(layer.transformer, size.area(), tokens);
  }
  return 0;
}

/// What a layer of `block` computes on; of those that resample, what they make.
SpatialSize size_of(const LayerTopology& layer, const BlockTopology& block, SpatialSize latent) {
  const int64_t step = layer.kind == LayerKind::kDown ? 1 : layer.kind == LayerKind::kUp ? -1 : 0;
  return at_level(latent, block.level + step);
}

}  // namespace

std::vector<int64_t> node_macs(const Topology& topology, const CallSize& size) {
  std::vector<int64_t> macs(topology.nodes.size());
  const auto of = [&](NodeId node) -> int64_t& { return macs[static_cast<size_t>(node)]; };
  for (size_t b = 0; b < topology.blocks.size(); ++b) {
    const BlockTopology& block = topology.blocks[b];
    for (const LayerTopology& layer : block.layers) {
      const SpatialSize at = size_of(layer, block, {size.height, size.width});
      of(layer.node) = layer_macs(layer, at, size.tokens);
      macs[b] += of(layer.node);
      for (int64_t unit = 0; unit < layer.units; ++unit) {
        of(layer.first_unit + unit) = unit_macs(layer, unit, at.area(), size.tokens);
      }
    }
  }
  of(topology.whole()) =
      size.height * size.width * 9 * topology.blocks.back().out_channels * topology.node(topology.whole()).channels;
  return macs;
}

int64_t live_macs(const Topology& topology, const NodesOfCall& nodes, const CallSize& size) {
  const std::vector<int64_t> macs = node_macs(topology, size);
  // Each node's own: without what its parts do.
  std::vector<int64_t> own = macs;
  for (size_t id = 0; id < topology.nodes.size(); ++id) {
    const Node& node = topology.nodes[id];
    if (node.kind == NodeKind::kLayer) {
      own[static_cast<size_t>(node.block)] -= macs[id];
    } else if (node.kind == NodeKind::kUnit) {
      own[static_cast<size_t>(topology.layer(node).node)] -= macs[id];
    }
  }
  int64_t total = 0;
  for (const NodeId node : nodes.computed) {
    total += own[static_cast<size_t>(node)];
  }
  for (const NodeId id : nodes.inherited) {
    const Node& node = topology.node(id);
    const bool whole =
        std::find(nodes.whole_outputs.begin(), nodes.whole_outputs.end(), id) != nodes.whole_outputs.end();
    if (node.kind == NodeKind::kLayer && topology.layer(node).kind == LayerKind::kRes && !whole) {
      const LayerTopology& layer = topology.layer(node);
      total += skip_macs(layer, size_of(layer, topology.block(node.block), {size.height, size.width}).area());
    }
  }
  return total;
}

int64_t full_macs(const Topology& topology, const CallSize& size) {
  const std::vector<int64_t> macs = node_macs(topology, size);
  return std::accumulate(macs.begin(), macs.begin() + topology.whole() + 1, int64_t{0});
}

}  // namespace asdm
