#include "native/unet/block.h"

#include <utility>

#include "native/base/error.h"

namespace asdm {

Block::Block(LeafTable& table, const BlockTopology& topology, int64_t emb_channels) {
  for (const LayerTopology& layer : topology.layers) {
    layers_.push_back(make_layer(table, layer, emb_channels));
    names_.push_back(layer.address.substr(topology.address.size() + 1));
  }
}

Block::Layer Block::make_layer(LeafTable& table, const LayerTopology& topology, int64_t emb_channels) {
  switch (topology.kind) {
    case LayerKind::kConv:
      return Conv2d(table, topology.key, topology.in_channels, topology.out_channels, 3);
    case LayerKind::kRes:
      return ResBlock(table, topology.key, topology.in_channels, emb_channels, topology.out_channels);
    case LayerKind::kTransformer:
      return SpatialTransformer(table, topology.key, topology.transformer, topology.transformer_index);
    case LayerKind::kDown:
      return Downsample(table, topology.key, topology.in_channels);
    case LayerKind::kUp:
      return Upsample(table, topology.key, topology.in_channels);
  }
  throw internal_fault("Block", "unknown layer kind");
}

at::Tensor Block::operator()(at::Tensor h, const Conditioning& conditioning, int64_t up_height, int64_t up_width,
                             LayerContext& layer) const {
  for (size_t i = 0; i < layers_.size(); ++i) {
    h = observed(layer.observer, names_[i],
                 [&] { return run(layers_[i], std::move(h), conditioning, up_height, up_width, layer); });
    layer.hooks.poll();
  }
  return h;
}

at::Tensor Block::run(const Layer& step, at::Tensor h, const Conditioning& conditioning, int64_t up_height,
                      int64_t up_width, LayerContext& layer) {
  if (const auto* res = std::get_if<ResBlock>(&step)) {
    return (*res)(h, conditioning.emb, layer);
  }
  if (const auto* transformer = std::get_if<SpatialTransformer>(&step)) {
    return (*transformer)(h, conditioning.context, layer);
  }
  if (const auto* conv = std::get_if<Conv2d>(&step)) {
    return (*conv)(h, layer);
  }
  if (const auto* down = std::get_if<Downsample>(&step)) {
    return (*down)(h, layer);
  }
  return std::get<Upsample>(step)(h, up_height, up_width, layer);
}

}  // namespace asdm
