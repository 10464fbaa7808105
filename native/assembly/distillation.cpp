#include "native/assembly/distillation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <set>
#include <utility>

#include "native/assembly/counterparts.h"
#include "native/assembly/losses.h"
#include "native/base/error.h"
#include "native/format/unet_layout.h"

namespace asdm {
namespace {

/// Above this much noise (timestep 600 of Stable Diffusion's schedule) a predicted clean latent means little yet.
constexpr double kNoisiestMeaning = 0.916;

/// What the teacher has, without a graph of gradients.
Trace traced(const UNet& teacher, const TrainingBatch& batch, WeightSource& weights, std::set<NodeId> blocks,
             bool prediction) {
  const at::AutoGradMode off(false);
  return teacher.trace(batch.inputs, weights, {std::move(blocks), prediction, {}});
}

std::set<NodeId> values_of(const std::map<NodeId, NodeId>& pairs) {
  std::set<NodeId> values;
  for (const auto& [key, value] : pairs) {
    values.insert(value);
  }
  return values;
}

std::set<NodeId> all_blocks(const UNet& unet) {
  std::set<NodeId> blocks;
  for (NodeId node = 0; node < unet.topology().whole(); ++node) {
    blocks.insert(blocks.end(), node);
  }
  return blocks;
}

/// Mean over `pairs` of the relative error of the learner's values, per sample.
at::Tensor feature_error(const std::map<NodeId, at::Tensor>& learnt, const std::map<NodeId, at::Tensor>& known,
                         const std::map<NodeId, NodeId>& pairs) {
  at::Tensor sum;
  int64_t count = 0;
  for (const auto& [node, value] : learnt) {
    const at::Tensor error = relative_error(value, known.at(pairs.at(node)));
    sum = sum.defined() ? sum + error : error;
    ++count;
  }
  return sum / count;
}

/// Adds up what is in `parts`, each as its mean over the samples.
Losses weighted(const std::vector<std::pair<std::string, std::pair<double, at::Tensor>>>& parts,
                const at::Tensor& sample_weight) {
  Losses losses;
  at::Tensor total;
  for (const auto& [name, part] : parts) {
    const at::Tensor mean = (part.second * sample_weight).mean();
    total = total.defined() ? total + part.first * mean : part.first * mean;
    losses.emplace(name, mean.detach());
  }
  if (!total.defined()) {
    throw invalid_input("loss weights", "at least one above 0", "none");
  }
  losses.emplace("total", total);
  return losses;
}

}  // namespace

Distillation::Learner::Learner(const UNetSpec& spec, const UNet& teacher)
    : unet(spec), counterparts(asdm::counterparts(teacher.topology(), unet.topology())) {}

Distillation::Distillation(const UNetSpec& teacher, const UNetSpec& student)
    : teacher_(teacher), student_(student, teacher_), implants_(implants_of(student)) {
  UNetSpec full = student;
  full.removed = teacher.removed;
  full.me_cond_conv = teacher.me_cond_conv;
  if (full != teacher) {
    throw invalid_input("student", "the teacher's UNet less some of its parts: " + to_json(teacher), to_json(student));
  }
  for (const Implant& implant : implants_) {
    hybrids_.emplace_back(implant.hybrid, teacher_);
  }
}

std::vector<LeafId> Distillation::trained_leaves(size_t index) const {
  const UNet& unet = hybrid(index);
  const std::set<std::string>& blocks = implants_.at(index).blocks;
  std::vector<LeafId> trained;
  for (const BlockTopology& block : unet.topology().blocks) {
    if (!blocks.contains(block.address)) {
      continue;
    }
    for (const LayerTopology& layer : block.layers) {
      for (size_t leaf = 0; leaf < unet.leaves().size(); ++leaf) {
        if (unet.leaves()[leaf].name == layer.key || unet.leaves()[leaf].name.starts_with(layer.key + ".")) {
          trained.push_back(static_cast<LeafId>(leaf));
        }
      }
    }
  }
  return trained;
}

Losses Distillation::local(size_t index, const TrainingBatch& batch, WeightSource& teacher,
                           WeightSource& weights) const {
  const Learner& learner = hybrids_.at(index);
  const std::set<std::string>& trained = implants_.at(index).blocks;
  const Trace known = traced(teacher_, batch, teacher, all_blocks(teacher_), false);
  TraceRequest request{.blocks = {}, .prediction = false, .given = {}};
  for (const auto& [node, counterpart] : learner.counterparts) {
    if (trained.contains(learner.unet.topology().block(node).address)) {
      request.blocks.insert(node);
    } else {
      request.given.emplace(node, known.blocks.at(counterpart));
    }
  }
  const Trace learnt = learner.unet.trace(batch.inputs, weights, request);
  return weighted({{"local", {1.0, feature_error(learnt.blocks, known.blocks, learner.counterparts)}}}, batch.weight);
}

Losses Distillation::implanted(size_t index, const TrainingBatch& batch, WeightSource& teacher, WeightSource& weights,
                               const LossWeights& loss) const {
  return compare(hybrids_.at(index), batch, teacher, weights, loss);
}

Losses Distillation::assembled(const TrainingBatch& batch, WeightSource& teacher, WeightSource& weights,
                               const LossWeights& loss) const {
  return compare(student_, batch, teacher, weights, loss);
}

Losses Distillation::compare(const Learner& learner, const TrainingBatch& batch, WeightSource& teacher,
                             WeightSource& weights, const LossWeights& loss) const {
  const bool asks_teacher = loss.output > 0 || loss.semantic > 0;
  const bool features = loss.feature > 0;
  Trace known;
  if (asks_teacher || features) {
    known =
        traced(teacher_, batch, teacher, features ? values_of(learner.counterparts) : std::set<NodeId>(), asks_teacher);
  }
  const Trace learnt =
      learner.unet.trace(batch.inputs, weights, {features ? all_blocks(learner.unet) : std::set<NodeId>(), true, {}});
  std::vector<std::pair<std::string, std::pair<double, at::Tensor>>> parts;
  if (loss.task > 0) {
    parts.push_back({"task", {loss.task, mean_squared_error(learnt.prediction, batch.target)}});
  }
  if (loss.output > 0) {
    parts.push_back({"output", {loss.output, mean_squared_error(learnt.prediction, known.prediction)}});
  }
  if (features) {
    parts.push_back({"feature", {loss.feature, feature_error(learnt.blocks, known.blocks, learner.counterparts)}});
  }
  if (loss.semantic > 0) {
    const at::Tensor wanted = meaning(batch, known.prediction, teacher).detach();
    const at::Tensor clear = (batch.noise < kNoisiestMeaning).to(batch.noise.scalar_type());
    parts.push_back(
        {"semantic", {loss.semantic, clear * semantic_distance(meaning(batch, learnt.prediction, teacher), wanted)}});
  }
  return weighted(parts, batch.weight);
}

at::Tensor Distillation::meaning(const TrainingBatch& batch, const at::Tensor& prediction,
                                 WeightSource& teacher) const {
  const int64_t channels = prediction.size(1);
  const at::Tensor& x = batch.inputs.x;
  ForwardInputs inputs = batch.inputs;
  inputs.x =
      predicted_clean(x.narrow(1, 0, channels), prediction, batch.signal, batch.noise, teacher_.spec().prediction);
  if (x.size(1) > channels) {  // inpainting: what else the UNet is given
    inputs.x = at::cat({inputs.x, x.narrow(1, channels, x.size(1) - channels)}, 1);
  }
  inputs.timesteps = at::zeros_like(inputs.timesteps);
  const NodeId deepest = teacher_.topology().first_output() - 1;
  return teacher_.trace(inputs, teacher, {{deepest}, false, {}}).blocks.at(deepest);
}

}  // namespace asdm
