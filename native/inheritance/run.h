// One sampling run under feature inheritance: counts evaluations, takes the reuse decision once for each, keeps the
// features and the record of what was done. Lives from the start to the end of a sampler call, never longer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "native/inheritance/call_features.h"
#include "native/inheritance/feature_store.h"
#include "native/inheritance/time_step_mode.h"

namespace asdm {

/// What is inherited, and when.
struct InheritanceSettings {
  std::vector<NodeId> sites;  ///< nodes whose stored value stands in on inherited evaluations
  TimeStepSettings time_steps;
  double start_percent = 0.0;  ///< window as share of this run's schedule
  double end_percent = 1.0;
  int64_t max_age = 0;  ///< in evaluations; 0 = no limit
};

/// What a run did; the report is made from it.
struct RunRecord {
  int64_t evaluations = 0;
  int64_t full = 0;
  int64_t inherited = 0;
  std::map<std::string, int64_t> forced_refreshes;  ///< reason -> calls that computed although inheritance was due
  std::vector<int64_t> computed_nodes;   ///< per node: calls that computed it
  std::vector<int64_t> inherited_nodes;  ///< per node: calls that took its stored value
  int64_t calls = 0;
  int64_t peak_cache_bytes = 0;
};

/// State of one sampling run.
class Run {
 public:
  /// `sigmas`: the run's schedule, falling; `nodes`: nodes of the UNet graph. No settings = nothing is inherited.
  Run(std::optional<InheritanceSettings> settings, std::vector<double> sigmas, int64_t nodes);

  /// A model evaluation at `sigma` begins (the host's PREDICT_NOISE).
  void begin_evaluation(double sigma);

  /// One call of the UNet inside the evaluation: `keys`, one per cond chunk, in batch order.
  CallFeatures begin_call(const std::vector<std::string>& keys);

  /// Books what a finished call did and stores its features.
  void end_call(CallFeatures& call);

  [[nodiscard]] const RunRecord& record() const noexcept { return record_; }
  [[nodiscard]] int64_t cache_bytes() const { return store_.bytes(); }
  /// Drops all features; the record stays.
  void release() { store_.clear(); }

 private:
  [[nodiscard]] bool in_window(double sigma) const;
  /// Why the chunks cannot inherit; empty = they can.
  [[nodiscard]] std::string obstacle(const std::vector<std::string>& keys) const;

  std::optional<InheritanceSettings> settings_;
  double window_high_ = 0.0;  ///< sigmas of the window: low <= sigma <= high
  double window_low_ = 0.0;
  std::optional<TimeStepPattern> pattern_;  ///< full evaluations of the window
  int64_t window_index_ = -1;
  int64_t evaluation_ = -1;
  double sigma_ = 0.0;
  bool inherit_ = false;  ///< the decision of this evaluation
  bool storing_ = false;
  FeatureStore store_;
  RunRecord record_;
};

}  // namespace asdm
