// The features that one call of the UNet inherits and those it leaves behind.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/control.h"
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

/// Made by Run::begin_call, filled while the UNet is evaluated, handed back to Run::end_call.
class CallFeatures {
 public:
  /// A call that inherits and stores nothing.
  CallFeatures() = default;
  explicit CallFeatures(CallOrder order);

  [[nodiscard]] bool inherits() const noexcept { return !order_.sites.empty(); }
  /// What stands in for `node` in the rows that run, to be read only; undefined where it must be computed.
  at::Tensor inherited(NodeId node);
  /// Whether inherited(node) would be defined.
  [[nodiscard]] bool holds(NodeId node) const { return order_.sites.contains(node); }
  [[nodiscard]] const std::set<NodeId>& sites() const noexcept { return order_.sites; }
  /// Whether the last residuals of the host's ControlNets stand in.
  [[nodiscard]] bool inherits_control() const noexcept { return order_.control; }
  /// Those residuals, to be read only.
  [[nodiscard]] Control inherited_control() const;
  [[nodiscard]] bool wants_control() const noexcept { return order_.wants_control; }
  /// The ControlNets gave `residuals` for the batch of `rows`, or one row for all of them; kept without a copy.
  void keep_control(Control residuals, int64_t rows);
  /// What was kept of this call, by the places that hold something.
  [[nodiscard]] const std::map<ControlPlace, at::Tensor>& kept_control() const noexcept { return kept_control_; }
  [[nodiscard]] bool is_whole_output(NodeId layer) const { return order_.whole_outputs.contains(layer); }

  /// Whether the value that stands in for `node` is the same in all calls until it is computed anew.
  [[nodiscard]] bool is_held(NodeId node) const;
  /// What a call before made of that value alone; none where no call did.
  [[nodiscard]] std::vector<at::Tensor> derived(NodeId node) const;
  /// This call made `tensors` of it.
  void derive(NodeId node, std::vector<at::Tensor> tensors) { derived_.insert_or_assign(node, std::move(tensors)); }
  [[nodiscard]] const std::map<NodeId, std::vector<at::Tensor>>& derived_now() const noexcept { return derived_; }

  /// An input of `size` enters block `node`. False where the call inherits and one of another size entered it in the
  /// call that the inherited features come from: a hook changed the resolution since, and none of them fits any more.
  [[nodiscard]] bool enter(NodeId node, SpatialSize size);

  /// Whether computed() keeps the value of `node`.
  [[nodiscard]] bool wants(NodeId node) const { return !rows_ && order_.wanted.contains(node); }
  /// The value of `node` was computed; may be undefined where nobody wants it.
  void computed(NodeId node, const at::Tensor& value);

  /// Progressive depth: the node whose fresh value decides on inheriting `node`; -1 where it is no cut.
  [[nodiscard]] NodeId probe_of(NodeId node) const;
  /// `fresh` is the value of the probe of `cut`; inherits the cut where that changed little enough.
  void probe(NodeId cut, const at::Tensor& fresh);
  /// The cut that was chosen by its probe.
  [[nodiscard]] std::optional<NodeId> chosen_cut() const noexcept { return chosen_; }

  /// The rows to run where uncond is to be made from cond and the inherited guidance.
  [[nodiscard]] std::optional<RowRange> guided_rows() const;
  /// Only those rows run from here on: nothing of this call is kept.
  void run_guided_rows() { rows_ = order_.cond_rows; }
  /// All rows must run, for `reason`.
  void refuse_guidance(std::string reason);
  /// Both predictions, from that of the rows that ran.
  at::Tensor with_guidance(const at::Tensor& cond);
  /// The prediction [batch, ...] of all rows is known: keeps the guidance in it where it is wanted.
  void keep_guidance(const at::Tensor& prediction);

  /// What stands in for each inherited node in this call, before it runs.
  [[nodiscard]] std::map<NodeId, at::Tensor> inherited_values() const;
  /// This call, before it runs, on other memory: it inherits `buffers`, which hold those values.
  [[nodiscard]] CallFeatures on(std::map<NodeId, at::Tensor> buffers) const;
  /// Books that the work of `captured`, a call of this kind, was done again for this one, and left `kept` behind, of
  /// which copies are made.
  void repeat(const CallFeatures& captured, const std::map<NodeId, at::Tensor>& kept);

  /// Turns the call into a full one, after an inherited value did not fit.
  void abandon_inheritance(std::string reason);

  [[nodiscard]] const std::vector<std::string>& keys() const noexcept { return order_.keys; }
  [[nodiscard]] int64_t bytes() const noexcept { return order_.bytes; }
  [[nodiscard]] const std::vector<NodeId>& computed_nodes() const noexcept { return computed_; }
  /// Nodes whose last value stood in, and those that had a forecast.
  [[nodiscard]] const std::vector<NodeId>& inherited_nodes() const noexcept { return inherited_; }
  [[nodiscard]] const std::vector<NodeId>& forecast_nodes() const noexcept { return forecast_; }
  [[nodiscard]] const std::map<NodeId, SpatialSize>& entered() const noexcept { return entered_; }
  /// Why something was computed although it was to be inherited.
  [[nodiscard]] const std::vector<std::string>& refusals() const noexcept { return refusals_; }
  /// What was computed and is to be stored.
  [[nodiscard]] const std::map<NodeId, KeptValue>& kept() const noexcept { return kept_; }
  [[nodiscard]] std::map<NodeId, at::Tensor> kept_values() const;
  [[nodiscard]] const std::set<NodeId>& wanted_nodes() const noexcept { return order_.wanted; }
  /// Whether it depends on values of this call what of it is inherited.
  [[nodiscard]] bool searches() const noexcept { return !order_.open_cuts.empty(); }
  /// Whether uncond was made from cond and the guidance, so that half of the batch ran.
  [[nodiscard]] bool is_guided() const noexcept { return guided_; }

 private:
  [[nodiscard]] bool entered_as_stored() const;
  /// Counts `node` among the inherited or the forecast ones.
  void book_inherited(NodeId node);

  CallOrder order_;
  std::optional<RowRange> rows_;  ///< those that run; none = all
  bool guided_ = false;
  std::map<NodeId, SpatialSize> entered_;
  std::map<NodeId, std::vector<at::Tensor>> derived_;
  std::map<NodeId, at::Tensor> buffers_;  ///< what stands in, where it was made beforehand
  std::map<NodeId, at::Tensor> probed_;   ///< by cut: the fresh value of its probe
  std::optional<NodeId> chosen_;
  std::map<NodeId, KeptValue> kept_;
  std::map<ControlPlace, at::Tensor> kept_control_;
  std::vector<NodeId> computed_;
  std::vector<NodeId> inherited_;
  std::vector<NodeId> forecast_;
  std::vector<std::string> refusals_;
};

}  // namespace asdm
