// What a run did, evaluation by evaluation; the report and recorded plans are made from it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "native/inheritance/feature_store.h"

namespace asdm {

/// What was done with a node.
enum class NodeAction : char { kComputed = 'c', kInherited = 'i', kForecast = 'f', kNotRun = '-' };

/// One evaluation.
struct EvaluationRecord {
  double sigma = 0.0;
  std::vector<NodeId> sites;             ///< those that some call inherited; empty = it was full
  std::map<NodeId, NodeAction> actions;  ///< for blocks and sites; where calls differ, what was inherited counts
};

struct RunRecord {
  int64_t evaluations = 0;
  int64_t full = 0;                                 ///< evaluations that were to be computed in full
  int64_t inherited = 0;                            ///< evaluations that were to inherit
  std::map<std::string, int64_t> forced_refreshes;  ///< reason -> calls that computed although inheritance was due
  std::vector<int64_t> computed_nodes;              ///< per node: calls that computed it
  std::vector<int64_t> inherited_nodes;             ///< per node: calls that took its last value
  std::vector<int64_t> forecast_nodes;              ///< per node: calls that took a forecast of it
  int64_t calls = 0;
  int64_t peak_cache_bytes = 0;
  std::vector<EvaluationRecord> log;
};

}  // namespace asdm
