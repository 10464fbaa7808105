// What a call computes under inheritance: asked by the rule of native/unet/needs.h, as the evaluation does, without
// tensors.
#pragma once

#include <set>

#include "native/planning/cost.h"
#include "native/unet/topology.h"

namespace asdm {

/// The nodes that a call meets when `sites` are inherited, `whole_outputs` of them as outputs of layers: those it
/// computes and those it takes from the store. A site that is in neither serves nobody.
[[nodiscard]] NodesOfCall live_nodes(const Topology& topology, const std::set<NodeId>& sites,
                                     const std::set<NodeId>& whole_outputs);

}  // namespace asdm
