#include "native/assembly/counterparts.h"

namespace asdm {

std::map<NodeId, NodeId> counterparts(const Topology& teacher, const Topology& student) {
  std::map<NodeId, NodeId> pairs;
  NodeId kept = -1;  // the student's block that was met last, on the way through the teacher
  for (NodeId node = 0; node < teacher.whole(); ++node) {
    const BlockTopology& block = teacher.block(node);
    if (kept + 1 < student.whole() && student.block(kept + 1).address == block.address) {
      ++kept;
      pairs[kept] = node;
      continue;
    }
    const bool follows = kept >= 0 && pairs.at(kept) == node - 1 && student.block(kept).kind == block.kind;
    if (follows && student.block(kept).out_channels == block.out_channels &&
        student.node(kept).level == teacher.node(node).level) {
      pairs[kept] = node;
    }
  }
  return pairs;
}

}  // namespace asdm
