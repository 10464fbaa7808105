#include "native/assembly/calibration.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>

#include <map>
#include <set>

#include "native/assembly/counterparts.h"
#include "native/base/error.h"

namespace asdm {
namespace {

/// A channel that varies less than this share of its square is a constant: only a shift can mend it.
constexpr double kSmallestVariance = 1e-8;

/// The leaf whose output ends `layer`.
std::string last_leaf(const LayerTopology& layer) {
  switch (layer.kind) {
    case LayerKind::kConv:
      return layer.key;
    case LayerKind::kRes:
      return layer.key + ".out_layers.3";
    case LayerKind::kTransformer:
      return layer.key + ".proj_out";
    case LayerKind::kDown:
      return layer.key + ".op";
    case LayerKind::kUp:
      return layer.key + ".conv";
  }
  throw internal_fault("last_leaf", "unknown kind of layer");
}

/// Whether the student's block has all layers and transformer blocks of the teacher's.
bool is_whole(const BlockTopology& student, const BlockTopology& teacher) {
  if (student.layers.size() != teacher.layers.size()) {
    return false;
  }
  for (size_t i = 0; i < student.layers.size(); ++i) {
    if (student.layers[i].transformer.block_numbers != teacher.layers[i].transformer.block_numbers) {
      return false;
    }
  }
  return true;
}

/// The values of `nodes` in a full call.
std::map<NodeId, at::Tensor> values_in(const UNet& unet, const ForwardInputs& inputs, WeightSource& weights,
                                       std::set<NodeId> nodes) {
  CallOrder order;
  order.keys = {"calibration"};
  order.wanted = std::move(nodes);
  CallFeatures features(std::move(order));
  Hooks hooks;
  (void)unet.forward(inputs, weights, hooks, features);
  return features.ledger().kept_values();
}

}  // namespace

std::vector<Cut> cuts_of(const UNet& teacher, const UNet& student) {
  std::vector<Cut> cuts;
  for (const auto& [node, counterpart] : counterparts(teacher.topology(), student.topology())) {
    const BlockTopology& block = student.topology().block(node);
    const BlockTopology& model = teacher.topology().block(counterpart);
    if ((block.address == model.address && is_whole(block, model)) || block.layers.empty()) {
      continue;
    }
    cuts.push_back({block.address, last_leaf(block.layers.back()), node, block.layers.back().node, counterpart});
  }
  return cuts;
}

at::Tensor cut_moments(const Cut& cut, const ForwardInputs& inputs, const UNet& teacher, WeightSource& teacher_weights,
                       const UNet& student, WeightSource& student_weights) {
  const at::AutoGradMode off(false);
  const auto known = values_in(teacher, inputs, teacher_weights, {cut.teacher});
  const auto learnt = values_in(student, inputs, student_weights, {cut.student, cut.layer});
  const auto by_channel = [](const at::Tensor& value) { return value.to(at::kDouble).transpose(0, 1).flatten(1); };
  const at::Tensor added = by_channel(learnt.at(cut.layer));
  // What goes past a residual layer is not the layer's to mend.
  const at::Tensor wanted = by_channel(known.at(cut.teacher)) - by_channel(learnt.at(cut.student)) + added;
  return at::stack(
      {at::ones_like(added).sum(1), added.sum(1), added.square().sum(1), wanted.sum(1), (added * wanted).sum(1)});
}

std::pair<at::Tensor, at::Tensor> fit_cut(const at::Tensor& moments) {
  const at::Tensor means = moments.narrow(0, 1, 4) / moments[0];
  const at::Tensor& added = means[0];
  const at::Tensor variance = means[1] - added.square();
  const at::Tensor covariance = means[3] - added * means[2];
  const at::Tensor gain =
      at::where(variance > kSmallestVariance * means[1], covariance / variance, at::ones_like(variance));
  return {gain, means[2] - gain * added};
}

}  // namespace asdm
