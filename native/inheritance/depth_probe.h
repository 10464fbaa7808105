// Progressive depth: how much of a call is inherited is decided as it runs, by how much its encoder's features changed.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "native/inheritance/call_order.h"

namespace asdm {

class DepthProbe {
 public:
  DepthProbe() = default;
  /// `open`: those of `cuts` that may be inherited in this call.
  DepthProbe(std::vector<CutProbe> cuts, std::set<NodeId> open, double threshold);

  /// Whether it depends on values of this call what of it is inherited.
  [[nodiscard]] bool searches() const noexcept { return !open_.empty(); }
  /// The node whose fresh value decides on inheriting `node`; -1 where it is no cut.
  [[nodiscard]] NodeId probe_of(NodeId node) const;
  /// `fresh` is the value of the probe of `cut`.
  void take(NodeId cut, const at::Tensor& fresh) { fresh_.insert_or_assign(cut, fresh); }
  /// What take() was given for `cut`; null where it was not.
  [[nodiscard]] const at::Tensor* fresh(NodeId cut) const;
  /// Whether `cut` is still to be decided on.
  [[nodiscard]] bool may_choose(NodeId cut) const { return !chosen_ && open_.contains(cut); }
  /// Chooses `cut` where its probe changed little enough since `before`; whether it did.
  bool choose(NodeId cut, const at::Tensor& before);
  /// The cut that was chosen by its probe.
  [[nodiscard]] std::optional<NodeId> chosen() const noexcept { return chosen_; }
  /// Nothing is inherited any more, so nothing is decided.
  void close();

 private:
  std::vector<CutProbe> cuts_;
  std::set<NodeId> open_;
  double threshold_ = 0.0;
  std::map<NodeId, at::Tensor> fresh_;  ///< by cut
  std::optional<NodeId> chosen_;
};

}  // namespace asdm
