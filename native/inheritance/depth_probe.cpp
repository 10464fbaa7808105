#include "native/inheritance/depth_probe.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <utility>

#include "native/inheritance/relative_change.h"

namespace asdm {

DepthProbe::DepthProbe(std::vector<CutProbe> cuts, std::set<NodeId> open, double threshold)
    : cuts_(std::move(cuts)), open_(std::move(open)), threshold_(threshold) {}

NodeId DepthProbe::probe_of(NodeId node) const {
  const auto found =
      std::find_if(cuts_.begin(), cuts_.end(), [&](const CutProbe& candidate) { return candidate.cut == node; });
  return found == cuts_.end() ? -1 : found->probe;
}

const at::Tensor* DepthProbe::fresh(NodeId cut) const {
  const auto found = fresh_.find(cut);
  return found == fresh_.end() ? nullptr : &found->second;
}

bool DepthProbe::choose(NodeId cut, const at::Tensor& before) {
  const at::Tensor& fresh = fresh_.at(cut);
  if (before.sizes() == fresh.sizes() && relative_change(fresh, before).item<double>() < threshold_) {
    chosen_ = cut;
  }
  return chosen_ == cut;
}

void DepthProbe::close() {
  open_.clear();
  fresh_.clear();
  chosen_.reset();
}

}  // namespace asdm
