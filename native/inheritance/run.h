// One sampling run under feature inheritance: counts evaluations, takes the reuse decision once for each, keeps the
// features and the record of what was done. Lives from the start to the end of a sampler call, never longer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/call_features.h"
#include "native/inheritance/decisions.h"
#include "native/inheritance/feature_store.h"
#include "native/inheritance/run_record.h"

namespace asdm {

/// The nodes of a UNet graph, as far as a run must know them.
struct NodeCount {
  int64_t blocks = 0;  ///< ids below are blocks
  int64_t nodes = 0;   ///< of all kinds
};

/// State of one sampling run.
class Run {
 public:
  /// `sigmas`: the run's schedule, falling. No settings = nothing is inherited.
  Run(std::optional<InheritanceSettings> settings, const std::vector<double>& sigmas, NodeCount nodes);

  /// Whether measure() has anything to say.
  [[nodiscard]] bool measures() const { return decisions_ && decisions_->measures(); }
  /// What decides on the evaluation to come, at input `x` [rows, channels, height, width] of the UNet: a scalar on its
  /// device; undefined = nothing.
  at::Tensor measure(const at::Tensor& x) { return decisions_ ? decisions_->measure(x) : at::Tensor(); }
  /// A model evaluation at `sigma` begins (the host's PREDICT_NOISE). `measured`: the value of measure() for it.
  void begin_evaluation(double sigma, std::optional<double> measured = {});

  /// The evaluation that began last, from 0; -1 where none did.
  [[nodiscard]] int64_t evaluation() const noexcept { return now_.evaluation; }
  /// A pass over the latent begins: the host asks for several in an evaluation where guidance does. Its number, from 0.
  int64_t begin_pass() noexcept { return ++pass_; }
  /// The pass of this evaluation that began last; -1 where none did.
  [[nodiscard]] int64_t pass_number() const noexcept { return pass_; }

  /// The calls of this evaluation that are still to come inherit nothing, for `reason`: guidance compares what they
  /// give, and a fresh prediction beside an old one would pass for guidance.
  void refuse_rest(const std::string& reason) { rest_refused_ = reason; }

  /// Calls begin that no evaluation before has made (guidance that starts in mid-run), for `reason`: what they give is
  /// of now. If calls before them in this evaluation inherited, the next one computes, and all are of one age again.
  void begin_fresh_calls(const std::string& reason);

  /// One call of the UNet inside the evaluation: `keys`, one per cond chunk, in batch order; `roles`, for each chunk
  /// the index of its conditioning (0 = cond, 1 = uncond), or none where the host does not say; `rows` of the whole
  /// batch, needed with roles; `bytes` that its features may take.
  CallFeatures begin_call(const std::vector<std::string>& keys, const std::vector<int64_t>& roles = {},
                          int64_t rows = 0, int64_t bytes = 0);

  /// A call comes whose features may take `bytes`: gives what those of all calls of an evaluation take, as far as they
  /// are known, for the host to plan with. Once this was asked no more than the largest answer is ever kept.
  int64_t declare(int64_t bytes);

  /// Books what a finished call did and stores its features. `prediction`: what the UNet gave for the whole batch.
  /// Throws Error where it was a call of a UNet with other nodes.
  void end_call(CallFeatures& call, const at::Tensor& prediction = {});

  [[nodiscard]] const RunRecord& record() const noexcept { return record_; }
  /// What the evaluation inherits, as far as that is decided.
  [[nodiscard]] const std::vector<NodeId>& sites_now() const noexcept { return decision_.sites; }
  /// The sites of each evaluation so far, as InheritanceSettings::plan takes them.
  [[nodiscard]] std::vector<std::vector<NodeId>> plan() const;
  [[nodiscard]] int64_t cache_bytes() const { return store_.bytes(); }
  /// The calls to come neither keep nor inherit `sites`: they lie inside of what the engine does not run.
  void leave_out(std::set<NodeId> sites) { left_out_ = std::move(sites); }
  /// Whether any evaluation may inherit.
  [[nodiscard]] bool ever_inherits() const { return decisions_ && decisions_->ever_inherits(); }
  /// Drops all features; the record stays.
  void clear() { store_.clear(); }
  /// Weights changed: drops what calls made of held features alone.
  void clear_derived() { store_.clear_derived(); }

 private:
  void settle(Decision decision);
  /// Why `node` of `group` cannot be inherited; empty = it can.
  [[nodiscard]] std::string obstacle(const FeatureGroup& group, NodeId node) const;
  /// Why the last residuals of ControlNets cannot be inherited; empty = they can.
  [[nodiscard]] std::string control_obstacle(const CallOrder& order) const;
  /// Why what was taken at `taken` cannot be inherited now; empty = it can.
  [[nodiscard]] std::string obstacle(const EvaluationPoint& taken) const;
  /// Puts into `order` what the call inherits.
  void inherit(CallOrder& order);
  void open_cuts(CallOrder& order) const;
  void refuse(const std::string& reason) { ++record_.forced_refreshes[reason]; }
  /// The whole call computes, and so do those after it.
  void refuse_call(const std::string& reason);
  void check_nodes(const CallFeatures& call) const;
  void store(const CallFeatures& call);
  void log(const CallFeatures& call);

  std::optional<InheritanceSettings> settings_;
  std::optional<Decisions> decisions_;
  NodeCount nodes_;
  EvaluationPoint now_{.evaluation = -1, .sigma = 0.0};
  Decision decision_;
  std::string rest_refused_;  ///< why the calls to come inherit nothing; empty = they may
  std::string next_refused_;  ///< the same of the next evaluation
  int64_t pass_ = -1;
  bool first_call_ = true;
  std::set<NodeId> left_out_;
  FeatureStore store_;
  int64_t called_bytes_ = 0;   ///< what the calls of this evaluation so far may keep
  int64_t largest_bytes_ = 0;  ///< of those of any evaluation
  int64_t declared_bytes_ = 0;
  RunRecord record_;
};

}  // namespace asdm
