// Looks for the plan that stays closest to the exact result at a wanted speed. Others make the runs; this says which,
// and learns from what came of them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "native/planning/cost.h"
#include "native/planning/run_time.h"

namespace asdm {

/// For each evaluation the addresses that it inherits; none where it is full.
using PlanSites = std::vector<std::vector<std::string>>;

/// A plan as the search varies it: three cuts, two blocks apart, that take turns in the course of the run.
struct PlanShape {
  size_t cut = 0;                     ///< the first of them, an index into cut_ladder()
  std::array<int64_t, 2> until = {};  ///< tenths of the run at which the second and the third begin
  size_t mode = 0;                    ///< how full evaluations are placed, an index into the modes that are tried
};

/// A plan that was run.
struct PlanTrial {
  PlanShape shape;
  PlanSites sites;
  int64_t full = 0;    ///< evaluations that compute everything
  double share = 1.0;  ///< of a full run's multiply-accumulates
  double psnr = 0.0;   ///< dB between its latents and those of a full run
};

/// Begins with the plan that `segment` with sites "auto" would give at that speed, and goes from the best plan so far
/// to its neighbours: other cuts, other modes, other phases, each with as many full evaluations as the speed allows.
/// Where the best has none left, those of the next best follow. Ends after kMostTrials, or when nothing is left.
class PlanSearch {
 public:
  static constexpr size_t kMostTrials = 24;

  /// `sigmas`: of each evaluation of a full run, at least one. `target_speedup`: at least 1, of the whole run.
  PlanSearch(const Topology& topology, const UNetSpec& spec, std::vector<double> sigmas, const CallSize& size,
             double target_speedup);

  /// A run without inheritance took `seconds`.
  void add_full_run(double seconds) { time_.add(1.0, seconds); }
  /// The plan to run next; none where the search is over. Throws Error before the first full run, and while the plan
  /// before has no result.
  [[nodiscard]] std::optional<PlanSites> next();
  /// What came of it.
  void add_trial(double seconds, double psnr);

  [[nodiscard]] const std::vector<PlanTrial>& trials() const noexcept { return trials_; }
  /// How many times as fast as a full run `trial` is, by all runs so far.
  [[nodiscard]] double speedup(const PlanTrial& trial) const { return time_.speedup(trial.share); }
  /// Index of the closest trial that reaches the target; where none does, of the fastest. There must be one.
  [[nodiscard]] size_t best() const { return ranked().at(0); }
  [[nodiscard]] bool reaches_target(const PlanTrial& trial) const;

 private:
  struct Cut {
    std::string address;
    double share;  ///< of a full evaluation that one which inherits it computes
  };

  /// Indices of `trials_`, the best first.
  [[nodiscard]] std::vector<size_t> ranked() const;
  [[nodiscard]] std::vector<PlanShape> neighbours(const PlanShape& shape) const;
  /// The first of `shapes` that gives a plan which reaches the target and was not run.
  [[nodiscard]] std::optional<PlanTrial> first_new(const std::vector<PlanShape>& shapes) const;
  /// Cut of each evaluation that is not full; -1 for a full one.
  [[nodiscard]] std::vector<int64_t> cuts_of(const PlanShape& shape, int64_t full) const;
  [[nodiscard]] double share_of(const std::vector<int64_t>& cuts) const;
  /// The plan of this shape with as many full evaluations as the target allows; with one where it allows none.
  [[nodiscard]] PlanTrial fitted(const PlanShape& shape) const;
  [[nodiscard]] bool is_new(const PlanTrial& trial) const;

  std::vector<Cut> ladder_;
  PlanShape start_;  ///< what "auto" stands for in mode `segment`
  std::vector<double> sigmas_;
  double target_;
  RunTime time_;
  std::vector<PlanTrial> trials_;
  std::optional<PlanTrial> pending_;
};

}  // namespace asdm
