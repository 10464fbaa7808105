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

int64_t transformer_macs(const SpatialTransformer::Shape& shape, int64_t area, int64_t tokens) {
  const int64_t c = shape.channels;
  const int64_t attn1 = area * 4 * c * c + 2 * area * area * c;
  const int64_t attn2 = area * 2 * c * c + tokens * 2 * c * shape.context_dim + 2 * area * tokens * c;
  const int64_t ff = area * 12 * c * c;
  return shape.depth * (attn1 + attn2 + ff) + area * 2 * c * c;
}

int64_t res_macs(int64_t in, int64_t out, int64_t area) {
  const int64_t skip = in == out ? 0 : in * out;
  return area * (9 * in * out + 9 * out * out + skip);
}

}  // namespace

std::vector<int64_t> block_macs(const Topology& topology, int64_t height, int64_t width, int64_t tokens) {
  std::vector<int64_t> macs;
  macs.reserve(topology.blocks.size());
  for (const BlockTopology& block : topology.blocks) {
    const int64_t area = at_level({height, width}, block.level).area();
    int64_t total = 0;
    for (const LayerTopology& layer : block.layers) {
      const int64_t square = 9 * layer.in_channels * layer.out_channels;
      switch (layer.kind) {
        case LayerKind::kConv:
          total += area * square;
          break;
        case LayerKind::kRes:
          total += res_macs(layer.in_channels, layer.out_channels, area);
          break;
        case LayerKind::kTransformer:
          total += transformer_macs(layer.transformer, area, tokens);
          break;
        case LayerKind::kDown:
          total += at_level({height, width}, block.level + 1).area() * square;
          break;
        case LayerKind::kUp:
          total += at_level({height, width}, block.level - 1).area() * square;
          break;
      }
    }
    macs.push_back(total);
  }
  return macs;
}

int64_t output_macs(const Topology& topology, int64_t out_channels, int64_t height, int64_t width) {
  return height * width * 9 * topology.blocks.back().out_channels * out_channels;
}

}  // namespace asdm
