#include "native/layers/weight_source.h"

#include <sstream>
#include <utility>

#include "native/base/error.h"

namespace asdm {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream out;
  out << shape;
  return out.str();
}

at::Tensor cast(const at::Tensor& tensor, const at::Tensor& input) {
  if (!tensor.defined() || (tensor.scalar_type() == input.scalar_type() && tensor.device() == input.device())) {
    return tensor;
  }
  return tensor.to(input.device(), input.scalar_type());
}

}  // namespace

void check_leaf(const LeafInfo& leaf, const LeafTensors& tensors) {
  if (!tensors.weight.defined()) {
    throw invalid_input(leaf.name + ".weight", "a tensor of shape " + shape_text(leaf.shape), "none");
  }
  if (tensors.weight.sizes() != at::IntArrayRef(leaf.shape)) {
    throw invalid_input(leaf.name + ".weight", "shape " + shape_text(leaf.shape),
                        "shape " + shape_text(tensors.weight.sizes()));
  }
  if (leaf.has_bias != tensors.bias.defined()) {
    throw invalid_input(leaf.name + ".bias", leaf.has_bias ? "a tensor" : "none",
                        tensors.bias.defined() ? "a tensor" : "none");
  }
  if (leaf.has_bias && (tensors.bias.dim() != 1 || tensors.bias.size(0) != leaf.shape.front())) {
    throw invalid_input(leaf.name + ".bias", "shape [" + std::to_string(leaf.shape.front()) + "]",
                        "shape " + shape_text(tensors.bias.sizes()));
  }
}

ResidentWeights::ResidentWeights(const std::vector<LeafInfo>& leaves, std::vector<LeafTensors> tensors)
    : tensors_(std::move(tensors)) {
  if (tensors_.size() != leaves.size()) {
    throw internal_fault("ResidentWeights", "one entry per leaf is due");
  }
  for (size_t i = 0; i < leaves.size(); ++i) {
    check_leaf(leaves[i], tensors_[i]);
  }
}

LeafTensors ResidentWeights::fetch(LeafId leaf, const at::Tensor& input) {
  const LeafTensors& stored = tensors_[static_cast<size_t>(leaf)];
  return {cast(stored.weight, input), cast(stored.bias, input), nullptr};
}

}  // namespace asdm
