// The features that one call of the UNet inherits and those it leaves behind.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "native/inheritance/feature_store.h"

namespace asdm {

/// Made by Run::begin_call, filled while the UNet is evaluated, handed back to Run::end_call.
class CallFeatures {
 public:
  /// A call that inherits and stores nothing.
  CallFeatures() = default;
  /// `entered`: what entered each node in the call that `inherited` comes from.
  CallFeatures(std::vector<std::string> keys, std::vector<NodeId> wanted, std::map<NodeId, at::Tensor> inherited,
               std::map<NodeId, SpatialSize> entered = {});

  /// The stored value of `node` for the whole batch; undefined where it must be computed.
  [[nodiscard]] at::Tensor inherited(NodeId node) const;
  [[nodiscard]] bool inherits() const noexcept { return !inherited_.empty(); }

  /// An input of `size` enters `node`. False where one of another size entered it in the call that the inherited
  /// features come from: a hook changed the resolution since, and none of them fits any more.
  [[nodiscard]] bool enter(NodeId node, SpatialSize size);
  /// The value of `node` [batch, channels, height, width] was computed; keeps a copy where it is wanted.
  /// A copy, because the host's hooks write into what they get.
  void computed(NodeId node, const at::Tensor& value);
  /// The stored value of `node` was used.
  void used(NodeId node) { used_.push_back(node); }

  /// This call, before it runs, on other memory: it inherits `buffers`, which hold what this one inherits.
  [[nodiscard]] CallFeatures on(std::map<NodeId, at::Tensor> buffers) const;
  /// Books that the work of `captured`, a call of this kind, was done again for this one, and left `kept` behind.
  void repeat(const CallFeatures& captured, std::map<NodeId, at::Tensor> kept);

  /// Turns the call into a full one, after an inherited value did not fit.
  void abandon_inheritance(std::string reason);

  [[nodiscard]] const std::vector<std::string>& keys() const noexcept { return keys_; }
  /// Nodes whose values are kept.
  [[nodiscard]] const std::vector<NodeId>& wanted_nodes() const noexcept { return wanted_; }
  [[nodiscard]] const std::map<NodeId, at::Tensor>& inherited_values() const noexcept { return inherited_; }
  [[nodiscard]] const std::map<NodeId, at::Tensor>& kept_values() const noexcept { return kept_; }
  [[nodiscard]] const std::vector<NodeId>& computed_nodes() const noexcept { return computed_; }
  [[nodiscard]] const std::vector<NodeId>& used_nodes() const noexcept { return used_; }
  [[nodiscard]] const std::map<NodeId, SpatialSize>& entered() const noexcept { return entered_; }
  [[nodiscard]] const std::string& abandoned() const noexcept { return abandoned_; }
  /// Features of chunk `chunk` of the batch, as views.
  [[nodiscard]] std::map<NodeId, at::Tensor> chunk_features(size_t chunk) const;

 private:
  std::vector<std::string> keys_;
  std::vector<NodeId> wanted_;
  std::map<NodeId, at::Tensor> inherited_;
  std::map<NodeId, SpatialSize> entered_;  ///< in the call that `inherited_` comes from; else in this one
  std::map<NodeId, at::Tensor> kept_;
  std::vector<NodeId> computed_;
  std::vector<NodeId> used_;
  std::string abandoned_;
};

}  // namespace asdm
