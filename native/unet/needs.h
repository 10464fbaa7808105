// Who is needed: what a block asks of the blocks before it where some of its layers are inherited. The evaluation asks
// by this rule, and so does the walk without tensors that tells beforehand what a call costs.
#pragma once

#include <cstddef>
#include <set>

#include "native/unet/topology.h"

namespace asdm {

/// What a call inherits.
struct Inherited {
  const std::set<NodeId>& sites;  ///< nodes whose stored value stands in
  const std::set<NodeId>&
      whole_outputs;  ///< layers of which that value is the output, not what they add to their input
};

/// Whether what `layer` inherits or leaves behind is its output.
[[nodiscard]] bool by_output(const LayerTopology& layer, const std::set<NodeId>& whole_outputs);

/// Whether a stored value stands in for all of `layer`: nothing of it runs, nor what only it needs.
[[nodiscard]] bool is_replaced(const LayerTopology& layer, const Inherited& inherited);

/// What a block that is not inherited as a whole needs.
struct Needs {
  size_t first_layer = 0;  ///< those before it are neither run nor inherited
  bool input = true;       ///< whether anything enters it
  NodeId trunk = -1;       ///< the block whose value enters; -1 = none: the latent does, or nothing
  NodeId skip = -1;        ///< the input block whose value is joined to that; -1 = none
  NodeId target = -1;      ///< the input block whose size an Upsample enlarges to; -1 = none
};

[[nodiscard]] Needs needs_of(const Topology& topology, NodeId block, const Inherited& inherited);

}  // namespace asdm
