#include "native/unet/block.h"

#include <ATen/TensorOperators.h>

#include <utility>

#include "native/base/error.h"
#include "native/unet/layer_units.h"
#include "native/unet/needs.h"

namespace asdm {
namespace {

/// `h` as the host's layers get it from each other.
at::Tensor for_host(const at::Tensor& h, const LayerContext& layer) {
  return layer.host->runs_all() ? h : h.contiguous();
}

bool is_replaced(const LayerTopology& layer, const CallFeatures& features) {
  return asdm::is_replaced(layer, {features.sites(), features.whole_outputs()});
}

}  // namespace

Block::Block(ModuleTable& table, const BlockTopology& topology, int64_t emb_channels, int64_t number)
    : number_(number) {
  for (const LayerTopology& layer : topology.layers) {
    const PartId part = table.add_part(layer.key);
    layers_.push_back(
        {make_operation(table, layer, emb_channels), layer, layer.address.substr(topology.address.size() + 1), part});
  }
}

Block::Operation Block::make_operation(ModuleTable& table, const LayerTopology& topology, int64_t emb_channels) {
  switch (topology.kind) {
    case LayerKind::kConv:
      return Conv2d(table, topology.key, topology.in_channels, topology.out_channels, 3);
    case LayerKind::kRes:
      return ResBlock(table, topology.key, topology.in_channels, emb_channels, topology.out_channels, topology.experts);
    case LayerKind::kTransformer:
      return SpatialTransformer(table, topology.key, topology.transformer, topology.transformer_index);
    case LayerKind::kDown:
      return Downsample(table, topology.key, topology.in_channels);
    case LayerKind::kUp:
      return Upsample(table, topology.key, topology.in_channels);
  }
  throw internal_fault("Block", "unknown layer kind");
}

bool Block::splits(const CallFeatures& features, const LayerContext& layer) const {
  if (layers_.empty()) {
    return false;
  }
  const Layer& first = layers_.front();
  const auto concerned = [&](NodeId node) { return features.holds(node) || features.wants(node); };
  const auto* res = std::get_if<ResBlock>(&first.operation);
  const bool of_host = layer.host_runs(first.part) || (layer.host != nullptr && layer.host->has_injected(number_, 0));
  return res != nullptr && !of_host && res->splits(layer) && !concerned(first.topology.node) &&
         !concerned(first.topology.first_unit + kConvUnit);
}

at::Tensor Block::operator()(const HeldJoin& h, HeldSums& sums, const PartInputs& inputs, LayerContext& layer,
                             CallFeatures& features) const {
  const Layer& first = layers_.front();
  at::Tensor joined = observed(layer.observer, first.name,
                               [&] { return std::get<ResBlock>(first.operation)(h, inputs.emb, sums, layer); });
  features.computed(first.topology.first_unit + kConvUnit, {});
  features.computed(first.topology.node, {});
  layer.hooks.poll();
  return run_from(1, std::move(joined), inputs, layer, features);
}

at::Tensor Block::run_from(size_t first, at::Tensor h, const PartInputs& inputs, LayerContext& layer,
                           CallFeatures& features) const {
  for (size_t i = first; i < layers_.size(); ++i) {
    if (!is_replaced(layers_[i].topology, features)) {
      h = with_injected(i, std::move(h), inputs, layer);
    }
    h = run(layers_[i], h, inputs, layer, features);
    layer.hooks.poll();
  }
  return with_injected(layers_.size(), std::move(h), inputs, layer);
}

at::Tensor Block::with_injected(size_t position, at::Tensor h, const PartInputs& inputs, LayerContext& layer) const {
  const auto place = static_cast<int64_t>(position);
  if (layer.host == nullptr || !layer.host->has_injected(number_, place)) {
    return h;
  }
  return layer.host->injected(number_, place, for_host(h, layer), inputs);
}

at::Tensor Block::run(const Layer& step, const at::Tensor& h, const PartInputs& inputs, LayerContext layer,
                      CallFeatures& features) {
  const NodeId node = step.topology.node;
  if (is_replaced(step.topology, features)) {
    return features.inherited(node);
  }
  if (features.holds(node)) {
    const at::Tensor past = trunk(step, h, layer);
    return past + fitting(features.inherited(node), past.sizes(), step.topology.address);
  }
  LayerUnits units(features, step.topology);
  layer.units = &units;
  return observed(layer.observer, step.name, [&] {
    if (layer.host_runs(step.part)) {
      return run_hosts(step, h, inputs, layer, features);
    }
    if (features.wants(node) && !by_output(step.topology, features.whole_outputs())) {
      const at::Tensor added = delta(step, h, inputs, layer);
      features.computed(node, added);
      return trunk(step, h, layer) + added;
    }
    at::Tensor output = compute(step, h, inputs, layer);
    features.computed(node, output);
    return output;
  });
}

at::Tensor Block::run_hosts(const Layer& step, const at::Tensor& h, const PartInputs& inputs, LayerContext& layer,
                            CallFeatures& features) {
  const NodeId node = step.topology.node;
  at::Tensor output = layer.host->part(step.part, for_host(h, layer), inputs);
  if (!layer.host->runs_all()) {
    output = output.contiguous(at::MemoryFormat::ChannelsLast);
  }
  for (NodeId unit = step.topology.first_unit; unit < step.topology.first_unit + step.topology.units; ++unit) {
    features.computed(unit, {});
  }
  const bool adds = features.wants(node) && !by_output(step.topology, features.whole_outputs());
  features.computed(node, adds ? output - trunk(step, h, layer) : output);
  return output;
}

at::Tensor Block::trunk(const Layer& step, const at::Tensor& h, LayerContext& layer) {
  const auto* res = std::get_if<ResBlock>(&step.operation);
  return res == nullptr ? h : res->trunk(h, layer);
}

at::Tensor Block::delta(const Layer& step, const at::Tensor& h, const PartInputs& inputs, LayerContext& layer) {
  const auto* res = std::get_if<ResBlock>(&step.operation);
  return res != nullptr ? res->delta(h, inputs.emb, layer)
                        : std::get<SpatialTransformer>(step.operation).delta(h, inputs.context, layer);
}

at::Tensor Block::compute(const Layer& step, const at::Tensor& h, const PartInputs& inputs, LayerContext& layer) {
  if (const auto* res = std::get_if<ResBlock>(&step.operation)) {
    return (*res)(h, inputs.emb, layer);
  }
  if (const auto* transformer = std::get_if<SpatialTransformer>(&step.operation)) {
    return (*transformer)(h, inputs.context, layer);
  }
  if (const auto* conv = std::get_if<Conv2d>(&step.operation)) {
    return (*conv)(h, layer);
  }
  if (const auto* down = std::get_if<Downsample>(&step.operation)) {
    return (*down)(h, layer);
  }
  return std::get<Upsample>(step.operation)(h, inputs.output_shape[2], inputs.output_shape[3], layer);
}

}  // namespace asdm
