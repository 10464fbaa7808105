#include "native/unet/cost.h"

namespace asdm {
namespace {

/// Sizes of one level; Downsample rounds up.
struct Size {
  int64_t height;
  int64_t width;
  [[nodiscard]] int64_t area() const { return height * width; }
};

Size at_level(Size size, int64_t level) {
  for (int64_t i = 0; i < level; ++i) {
    size = {(size.height + 1) / 2, (size.width + 1) / 2};
  }
  return size;
}

/// One transformer block, unit by unit.
struct UnitMacs {
  int64_t attn1;
  int64_t attn2;
  int64_t ff;
  [[nodiscard]] int64_t total() const { return attn1 + attn2 + ff; }
};

UnitMacs unit_macs(const SpatialTransformer::Shape& shape, int64_t area, int64_t tokens) {
  const int64_t c = shape.channels;
  return {.attn1 = area * 4 * c * c + 2 * area * area * c,
          .attn2 = area * 2 * c * c + tokens * 2 * c * shape.context_dim + 2 * area * tokens * c,
          .ff = area * 12 * c * c};
}

int64_t transformer_macs(const SpatialTransformer::Shape& shape, int64_t area, int64_t tokens) {
  return shape.depth * unit_macs(shape, area, tokens).total() + area * 2 * shape.channels * shape.channels;
}

int64_t res_macs(int64_t in, int64_t out, int64_t area) {
  const int64_t skip = in == out ? 0 : in * out;
  return area * (9 * in * out + 9 * out * out + skip);
}

int64_t layer_macs(const LayerTopology& layer, Size size, int64_t tokens) {
  switch (layer.kind) {
    case LayerKind::kConv:
    case LayerKind::kDown:
    case LayerKind::kUp:
      return size.area() * 9 * layer.in_channels * layer.out_channels;
    case LayerKind::kRes:
      return res_macs(layer.in_channels, layer.out_channels, size.area());
    case LayerKind::kTransformer:
      return transformer_macs(layer.transformer, size.area(), tokens);
  }
  return 0;
}

/// What a layer of `block` computes on; of those that resample, what they make.
Size size_of(const LayerTopology& layer, const BlockTopology& block, Size latent) {
  const int64_t step = layer.kind == LayerKind::kDown ? 1 : layer.kind == LayerKind::kUp ? -1 : 0;
  return at_level(latent, block.level + step);
}

}  // namespace

std::vector<AddressCost> address_macs(const Topology& topology, int64_t height, int64_t width, int64_t tokens) {
  std::vector<AddressCost> costs;
  for (const BlockTopology& block : topology.blocks) {
    const size_t of_block = costs.size();
    costs.push_back({.address = block.address});
    for (const LayerTopology& layer : block.layers) {
      const Size size = size_of(layer, block, {height, width});
      costs.push_back({.address = layer.address, .macs = layer_macs(layer, size, tokens)});
      costs[of_block].macs += costs.back().macs;
      for (int64_t i = 0; i < layer.transformer.depth; ++i) {
        const UnitMacs units = unit_macs(layer.transformer, size.area(), tokens);
        const std::string prefix = layer.address + "." + std::to_string(i) + ".";
        costs.push_back({.address = prefix + "attn1", .macs = units.attn1});
        costs.push_back({.address = prefix + "attn2", .macs = units.attn2});
        costs.push_back({.address = prefix + "ff", .macs = units.ff});
      }
    }
  }
  return costs;
}

std::vector<int64_t> block_macs(const Topology& topology, int64_t height, int64_t width, int64_t tokens) {
  std::vector<int64_t> macs;
  macs.reserve(topology.blocks.size());
  for (const BlockTopology& block : topology.blocks) {
    int64_t& total = macs.emplace_back(0);
    for (const LayerTopology& layer : block.layers) {
      total += layer_macs(layer, size_of(layer, block, {height, width}), tokens);
    }
  }
  return macs;
}

int64_t output_macs(const Topology& topology, int64_t out_channels, int64_t height, int64_t width) {
  return height * width * 9 * topology.blocks.back().out_channels * out_channels;
}

}  // namespace asdm
