#include "native/planning/liveness.h"

#include <vector>

#include "native/unet/needs.h"

namespace asdm {
namespace {

class Walk {
 public:
  Walk(const Topology& topology, const std::set<NodeId>& sites, const std::set<NodeId>& whole_outputs)
      : topology_(topology), sites_(sites), whole_outputs_(whole_outputs), asked_(topology.blocks.size()) {}

  NodesOfCall run() {
    if (take(topology_.whole())) {
      return std::move(nodes_);
    }
    for (const NodeId outside : {topology_.guidance(), topology_.control()}) {
      if (sites_.contains(outside)) {
        nodes_.inherited.push_back(outside);
      }
    }
    ask(topology_.whole() - 1);
    nodes_.computed.push_back(topology_.whole());
    return std::move(nodes_);
  }

 private:
  bool take(NodeId node) {
    if (!sites_.contains(node)) {
      return false;
    }
    nodes_.inherited.push_back(node);
    return true;
  }

  void ask(NodeId node) {
    if (asked_[static_cast<size_t>(node)]) {
      return;
    }
    asked_[static_cast<size_t>(node)] = true;
    if (take(node)) {
      return;
    }
    nodes_.computed.push_back(node);
    const Needs needs = needs_of(topology_, node, {sites_, whole_outputs_});
    meet_layers(topology_.block(node), needs.first_layer);
    for (const NodeId other : {needs.trunk, needs.skip, needs.target}) {
      if (other >= 0) {
        ask(other);
      }
    }
  }

  /// From the last layer to `first`.
  void meet_layers(const BlockTopology& block, size_t first) {
    for (size_t i = block.layers.size(); i-- > first;) {
      const LayerTopology& layer = block.layers[i];
      if (take(layer.node)) {
        if (by_output(layer, whole_outputs_)) {
          nodes_.whole_outputs.push_back(layer.node);
        }
        continue;
      }
      nodes_.computed.push_back(layer.node);
      for (NodeId unit = layer.first_unit; unit < layer.first_unit + layer.units; ++unit) {
        if (!take(unit)) {
          nodes_.computed.push_back(unit);
        }
      }
    }
  }

  const Topology& topology_;
  const std::set<NodeId>& sites_;
  const std::set<NodeId>& whole_outputs_;
  std::vector<bool> asked_;
  NodesOfCall nodes_;
};

}  // namespace

NodesOfCall live_nodes(const Topology& topology, const std::set<NodeId>& sites, const std::set<NodeId>& whole_outputs) {
  return Walk(topology, sites, whole_outputs).run();
}

}  // namespace asdm
