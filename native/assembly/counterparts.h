// Which block of a teacher a block of its student stands for.
#pragma once

#include <map>

#include "native/unet/topology.h"

namespace asdm {

/// By block of `student`, a UNet that lacks parts of `teacher`'s: the last of the teacher's blocks in whose place it
/// stands. That is the block of its own address, or the last of those right behind it which the student lacks, as far
/// as they have its shape.
[[nodiscard]] std::map<NodeId, NodeId> counterparts(const Topology& teacher, const Topology& student);

}  // namespace asdm
