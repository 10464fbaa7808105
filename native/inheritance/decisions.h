// What each evaluation of a run does: compute in full, or inherit which sites.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "native/inheritance/controller.h"
#include "native/inheritance/inheritance_settings.h"
#include "native/inheritance/run_window.h"

namespace asdm {

struct Decision {
  enum class Kind {
    kFull,
    kInherit,  ///< `sites`
    kSearch    ///< progressive depth: the first call finds out
  };
  Kind kind = Kind::kFull;
  std::vector<NodeId> sites;
};

/// Taken once per evaluation, in order.
class Decisions {
 public:
  /// `sigmas`: the run's schedule. Throws Error where the settings make no sense.
  Decisions(InheritanceSettings settings, const std::vector<double>& sigmas);

  /// Whether any evaluation may inherit, so that storing features serves somebody.
  [[nodiscard]] bool ever_inherits() const noexcept { return ever_inherits_; }
  /// Every node that some evaluation may inherit.
  [[nodiscard]] const std::set<NodeId>& sites() const noexcept { return sites_; }

  /// Whether the decisions depend on the input of the UNet.
  [[nodiscard]] bool measures() const noexcept { return ever_inherits_ && controller_ != nullptr; }
  /// What the decision on the next evaluation, at input `x`, goes by: a scalar on its device; undefined = nothing.
  at::Tensor measure(const at::Tensor& x);
  /// The decision on it, at `sigma`. `measured`: that value.
  Decision begin(double sigma, std::optional<double> measured = {});
  /// It was computed in full, and the first chunk of its first call gave `prediction`.
  void computed(const at::Tensor& prediction);

 private:
  [[nodiscard]] Decision inherit() const;
  /// Whether `last_full` guards this evaluation by its sigma: samplers that evaluate more than once a step come to the
  /// last steps of the window later than by their count.
  [[nodiscard]] bool is_last() const;

  InheritanceSettings settings_;
  RunWindow window_;
  TimeStepPattern pattern_;
  std::unique_ptr<Controller> controller_;
  std::set<NodeId> sites_;
  bool ever_inherits_ = false;
  int64_t evaluation_ = -1;
  int64_t window_index_ = -1;  ///< of the last evaluation in the window
  bool in_window_ = false;
  double sigma_ = 0.0;
};

}  // namespace asdm
