#include "native/planning/feature_memory.h"

#include <algorithm>

namespace asdm {
namespace {

constexpr int64_t kBf16Size = 2;

bool is_bf16(Storage storage) { return storage == Storage::kBf16 || storage == Storage::kCpuBf16; }

/// `size` over 2^level, rounded up at each halving as strided convolutions do.
int64_t size_at(int64_t size, int64_t level) { return (size + (int64_t{1} << level) - 1) >> level; }

/// The latents of a call.
struct Latents {
  int64_t rows, height, width;

  /// Of a feature with so many channels at a level of the UNet.
  [[nodiscard]] int64_t elements(int64_t channels, int64_t level) const {
    return rows * channels * size_at(height, level) * size_at(width, level);
  }
  [[nodiscard]] int64_t elements(const Node& node) const { return elements(node.channels, node.level); }
};

/// Elements of what ControlNets give for a call: a residual for what each input block and the middle one give.
int64_t residual_elements(const Topology& topology, const Latents& latents) {
  int64_t elements = 0;
  for (NodeId id = 0; id == 0 || topology.is_input(id - 1); ++id) {
    elements += latents.elements(topology.node(id));
  }
  return elements;
}

}  // namespace

std::set<NodeId> kept_nodes(const InheritanceSettings& settings) {
  std::set<NodeId> nodes = sites_of(settings);
  for (const CutProbe& cut : settings.cuts) {
    nodes.insert(cut.probe);
  }
  nodes.erase(settings.control);  // no node of the UNet
  return nodes;
}

int64_t feature_bytes(const InheritanceSettings& settings, const Topology& topology, int64_t rows, int64_t height,
                      int64_t width, int64_t element_size) {
  const Latents latents{rows, height, width};
  int64_t elements = 0;
  for (const NodeId id : kept_nodes(settings)) {
    elements += latents.elements(topology.node(id));
  }
  const int64_t size = is_bf16(settings.values.storage) ? kBf16Size : element_size;
  const int64_t residuals = sites_of(settings).contains(settings.control) ? residual_elements(topology, latents) : 0;
  return elements * size * snapshots_of(settings.values.form) + residuals * element_size;
}

int64_t held_sum_bytes(const InheritanceSettings& settings, const Topology& topology, int64_t rows, int64_t height,
                       int64_t width, int64_t element_size) {
  if (settings.values.form != ValueForm::kHold) {
    return 0;
  }
  const Latents latents{rows, height, width};
  int64_t elements = 0;
  for (const NodeId id : sites_of(settings)) {
    const bool joined = id + 1 < topology.whole() && topology.block(id + 1).kind == BlockKind::kOutput &&
                        !topology.block(id + 1).layers.empty();
    if (joined) {
      elements += latents.elements(2 * topology.block(id + 1).layers.front().out_channels, topology.node(id).level);
    }
  }
  return elements * element_size;
}

int64_t projection_bytes(const Topology& topology, int64_t rows, int64_t tokens, int64_t element_size) {
  int64_t channels = 0;
  int64_t context_dim = 0;
  for (const BlockTopology& block : topology.blocks) {
    for (const LayerTopology& layer : block.layers) {
      const SpatialTransformer::Shape& shape = layer.transformer;
      channels += 2 * shape.depth() * shape.heads * shape.dim_head;
      context_dim = std::max(context_dim, shape.context_dim);
    }
  }
  return ProjectionCache::kInputs * rows * tokens * (context_dim + channels) * element_size;
}

}  // namespace asdm
