// What one call of the UNet is to inherit and to keep, as its run decided.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "native/inheritance/feature_store.h"

namespace asdm {

/// A cut of the UNet and the node of the encoder whose change tells whether the cut may be inherited: the last one that
/// is still computed when the cut is inherited.
struct CutProbe {
  NodeId probe = -1;
  NodeId cut = -1;
};

/// What one call is to inherit and to keep.
struct CallOrder {
  std::vector<std::string> keys;  ///< one per chunk of the batch
  int64_t bytes = 0;              ///< what its features may take, as the host was told
  EvaluationPoint now;
  std::shared_ptr<const FeatureGroup> stored;  ///< of these chunks; null = there is nothing to inherit
  std::set<NodeId> sites;                      ///< nodes whose stored value stands in; all of them are in `stored`
  std::set<NodeId> wanted;                     ///< nodes that are kept where they are computed
  std::set<NodeId> whole_outputs;  ///< layers whose output is inherited or kept instead of what they add to their input
  Storage storage = Storage::kCompute;
  std::vector<CutProbe> cuts;         ///< progressive depth: the cuts, and what tells of each
  std::set<NodeId> open_cuts;         ///< those of them that may be inherited in this call; all are in `stored`
  double threshold = 0.0;             ///< the first open cut whose probe changed less is inherited
  std::optional<RowRange> cond_rows;  ///< the cond chunk of a call that holds cond and uncond and nothing else
  NodeId guidance = -1;               ///< the node that stands for uncond less cond
  bool control = false;               ///< the host's ControlNets are not to run: their last residuals stand in
  bool wants_control = false;         ///< the residuals of those that run are kept
};

}  // namespace asdm
