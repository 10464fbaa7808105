#include "native/unet/needs.h"

namespace asdm {

bool by_output(const LayerTopology& layer, const std::set<NodeId>& whole_outputs) {
  return !layer.is_residual() || whole_outputs.contains(layer.node);
}

bool is_replaced(const LayerTopology& layer, const Inherited& inherited) {
  return inherited.sites.contains(layer.node) && by_output(layer, inherited.whole_outputs);
}

Needs needs_of(const Topology& topology, NodeId block, const Inherited& inherited) {
  const BlockTopology& asked = topology.block(block);
  Needs needs;
  for (size_t i = asked.layers.size(); needs.input && i-- > 0;) {
    if (is_replaced(asked.layers[i], inherited)) {
      needs.first_layer = i;
      needs.input = false;
    }
  }
  if (needs.input) {
    needs.trunk = block - 1;
    needs.skip = asked.skip;
  }
  if (asked.kind == BlockKind::kOutput && block + 1 < topology.whole()) {  // the last block enlarges nothing
    needs.target = topology.block(block + 1).skip;
  }
  return needs;
}

}  // namespace asdm
