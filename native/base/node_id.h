// How nodes of the UNet graph are told apart.
#pragma once

#include <cstdint>

namespace asdm {

/// Index of a node of the UNet graph (native/unet/topology.h).
using NodeId = int64_t;

}  // namespace asdm
