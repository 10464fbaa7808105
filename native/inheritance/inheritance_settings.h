// What is inherited, when, and in which form.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "native/inheritance/call_features.h"
#include "native/inheritance/time_step_mode.h"
#include "native/inheritance/value_form.h"

namespace asdm {

/// The sites of one part of the window.
struct SitePhase {
  double start = 0.0;  ///< share of the window, 0..1
  double end = 1.0;
  std::vector<NodeId> sites;
};

struct InheritanceSettings {
  std::vector<SitePhase> phases;   ///< what lies in none of them is computed in full
  std::set<NodeId> whole_outputs;  ///< layer sites whose output is inherited instead of what they add to their input
  std::vector<CutProbe> cuts;      ///< not empty: progressive depth chooses among these, and `phases` list them
  TimeStepSettings time_steps;
  ValueSettings values;
  double start_percent = 0.0;  ///< window as share of this run's schedule
  double end_percent = 1.0;
  int64_t max_age = 0;   ///< in evaluations; 0 = no limit
  NodeId guidance = -1;  ///< the nodes of these names, where the UNet has them
  NodeId control = -1;
  /// A recorded plan: the sites of each evaluation from the first on, none where it was full. Stands in for phases,
  /// time steps and window; behind its end everything is full.
  std::optional<std::vector<std::vector<NodeId>>> plan;
};

/// Every node that some evaluation may inherit.
[[nodiscard]] std::set<NodeId> sites_of(const InheritanceSettings& settings);

/// Throws Error where the settings make no sense.
void check(const InheritanceSettings& settings);

}  // namespace asdm
