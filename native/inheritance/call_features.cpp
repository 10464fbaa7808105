#include "native/inheritance/call_features.h"

#include <algorithm>
#include <utility>

namespace asdm {

CallFeatures::CallFeatures(std::vector<std::string> keys, std::vector<NodeId> wanted,
                           std::map<NodeId, at::Tensor> inherited, std::map<NodeId, SpatialSize> entered)
    : keys_(std::move(keys)),
      wanted_(std::move(wanted)),
      inherited_(std::move(inherited)),
      entered_(std::move(entered)) {}

at::Tensor CallFeatures::inherited(NodeId node) const {
  const auto found = inherited_.find(node);
  return found == inherited_.end() ? at::Tensor() : found->second;
}

bool CallFeatures::enter(NodeId node, SpatialSize size) {
  const auto [known, is_new] = entered_.try_emplace(node, size);
  return is_new || known->second == size;
}

void CallFeatures::computed(NodeId node, const at::Tensor& value) {
  computed_.push_back(node);
  if (std::find(wanted_.begin(), wanted_.end(), node) != wanted_.end()) {
    kept_.insert_or_assign(node, value.detach().clone());
  }
}

CallFeatures CallFeatures::on(std::map<NodeId, at::Tensor> buffers) const {
  return {keys_, wanted_, std::move(buffers), entered_};
}

void CallFeatures::repeat(const CallFeatures& captured, std::map<NodeId, at::Tensor> kept) {
  if (!captured.inherits()) {
    inherited_.clear();
  }
  entered_ = captured.entered_;
  computed_ = captured.computed_;
  used_ = captured.used_;
  abandoned_ = captured.abandoned_;
  kept_ = std::move(kept);
}

void CallFeatures::abandon_inheritance(std::string reason) {
  inherited_.clear();
  entered_.clear();
  used_.clear();
  computed_.clear();
  kept_.clear();
  abandoned_ = std::move(reason);
}

std::map<NodeId, at::Tensor> CallFeatures::chunk_features(size_t chunk) const {
  std::map<NodeId, at::Tensor> features;
  for (const auto& [node, value] : kept_) {
    const int64_t rows = value.size(0) / static_cast<int64_t>(keys_.size());
    features.emplace(node, value.narrow(0, static_cast<int64_t>(chunk) * rows, rows));
  }
  return features;
}

}  // namespace asdm
