// The features that one call of the UNet inherits and those it leaves behind.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/call_ledger.h"
#include "native/inheritance/call_order.h"
#include "native/inheritance/control.h"
#include "native/inheritance/depth_probe.h"

namespace asdm {

/// An order, carried out while the UNet is evaluated and booked in a ledger. Made by Run::begin_call, handed back to
/// Run::end_call.
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
  /// Layers whose output is inherited or kept instead of what they add to their input.
  [[nodiscard]] const std::set<NodeId>& whole_outputs() const noexcept { return order_.whole_outputs; }

  /// Whether the value that stands in for `node` is the same in all calls until it is computed anew.
  [[nodiscard]] bool is_held(NodeId node) const;
  /// What a call before made of that value alone; none where no call did.
  [[nodiscard]] std::vector<at::Tensor> derived(NodeId node) const;
  /// This call made `tensors` of it.
  void derive(NodeId node, std::vector<at::Tensor> tensors) {
    ledger_.derived.insert_or_assign(node, std::move(tensors));
  }

  /// An input of `size` enters block `node`. False where the call inherits and one of another size entered it in the
  /// call that the inherited features come from: a hook changed the resolution since, and none of them fits any more.
  [[nodiscard]] bool enter(NodeId node, SpatialSize size);

  /// Whether computed() keeps the value of `node`.
  [[nodiscard]] bool wants(NodeId node) const { return !rows_ && order_.wanted.contains(node); }
  /// The value of `node` was computed; may be undefined where nobody wants it.
  void computed(NodeId node, const at::Tensor& value);

  /// Progressive depth: the node whose fresh value decides on inheriting `node`; -1 where it is no cut.
  [[nodiscard]] NodeId probe_of(NodeId node) const { return probe_.probe_of(node); }
  /// `fresh` is the value of the probe of `cut`; inherits the cut where that changed little enough.
  void probe(NodeId cut, const at::Tensor& fresh);
  /// The cut that was chosen by its probe.
  [[nodiscard]] std::optional<NodeId> chosen_cut() const noexcept { return probe_.chosen(); }

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

  /// What beside the shapes of its tensors decides on the work of this call, before it runs.
  [[nodiscard]] std::string kind() const;
  /// Lets go of all values of a call that was captured: repeat() asks for none.
  void drop_values();

  /// Turns the call into a full one, after an inherited value did not fit.
  void abandon_inheritance(std::string reason);

  [[nodiscard]] const std::vector<std::string>& keys() const noexcept { return order_.keys; }
  [[nodiscard]] int64_t bytes() const noexcept { return order_.bytes; }
  /// What the call did so far.
  [[nodiscard]] const CallLedger& ledger() const noexcept { return ledger_; }
  [[nodiscard]] const std::set<NodeId>& wanted_nodes() const noexcept { return order_.wanted; }
  /// Whether it depends on values of this call what of it is inherited.
  [[nodiscard]] bool searches() const noexcept { return probe_.searches(); }

 private:
  [[nodiscard]] bool entered_as_stored() const;
  /// Counts `node` among the inherited or the forecast ones.
  void book_inherited(NodeId node);

  CallOrder order_;
  DepthProbe probe_;
  CallLedger ledger_;
  std::optional<RowRange> rows_;          ///< those that run; none = all
  std::map<NodeId, at::Tensor> buffers_;  ///< what stands in, where it was made beforehand
};

}  // namespace asdm
