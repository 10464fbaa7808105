// Multiply-accumulates of a UNet, node by node; the measure behind "share of the UNet computed".
#pragma once

#include <cstdint>
#include <vector>

#include "native/unet/topology.h"

namespace asdm {

/// Sizes that the cost depends on.
struct CallSize {
  int64_t height = 0;  ///< of the latent
  int64_t width = 0;
  int64_t tokens = 0;  ///< of the context
};

/// Multiply-accumulates of each node (by node id) for one sample: convolutions, linears and both attention products. A
/// block's include its layers', a layer's its units'; those of "out" are the final convolution's, guidance and control
/// have none. Mixing the experts of an ME-CondConv counts with its convolution. Norms, activations and embeddings are
/// left out.
[[nodiscard]] std::vector<int64_t> node_macs(const Topology& topology, const CallSize& size);

/// What a call does with the nodes it meets.
struct NodesOfCall {
  std::vector<NodeId> computed;
  std::vector<NodeId> inherited;      ///< as held or forecast values
  std::vector<NodeId> whole_outputs;  ///< those inherited layers of which nothing is run
};

/// Multiply-accumulates of one sample in such a call, each counted once: what of a computed node was itself inherited
/// is left out, and what an inherited ResBlock's skip connection still costs is in.
[[nodiscard]] int64_t live_macs(const Topology& topology, const NodesOfCall& nodes, const CallSize& size);

/// Multiply-accumulates of one sample where nothing is inherited.
[[nodiscard]] int64_t full_macs(const Topology& topology, const CallSize& size);

}  // namespace asdm
