#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "native/assembly/distillation.h"
#include "native/assembly/losses.h"
#include "native/assembly/pruning_maps.h"
#include "native/base/error.h"
#include "native/format/unet_layout.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::difference;
using testing::noise;
using testing::TinyUNet;

constexpr LossWeights kAll{.task = 1.0, .output = 0.5, .feature = 2.0, .semantic = 3.0};

UNetSpec student_spec(const char* map = "s0_s1") {
  const UNetSpec full = testing::tiny_spec("sd15");
  return without(full, pruning_map(map, full));
}

/// The leaves of `unet` out of `teacher`'s, copied, so that a test may change them.
std::vector<LeafTensors> taken_from(const TinyUNet& teacher, const UNet& unet, at::ScalarType dtype = at::kFloat) {
  std::vector<LeafTensors> tensors;
  for (const LeafInfo& leaf : unet.leaves()) {
    for (size_t i = 0; i < teacher.unet.leaves().size(); ++i) {
      if (teacher.unet.leaves()[i].name == leaf.name) {
        const LeafTensors& found = teacher.tensors[i];
        tensors.push_back({found.weight.to(dtype, false, true),
                           found.bias.defined() ? found.bias.to(dtype, false, true) : at::Tensor(), nullptr});
      }
    }
  }
  return tensors;
}

struct Lesson {
  explicit Lesson(const UNetSpec& spec, at::ScalarType dtype = at::kFloat)
      : distillation(teacher.unet.spec(), spec),
        known(teacher.unet.leaves(), taken_from(teacher, teacher.unet, dtype)),
        tensors(taken_from(teacher, distillation.student(), dtype)),
        weights(distillation.student().leaves(), tensors) {}

  [[nodiscard]] TrainingBatch batch(int64_t samples, at::ScalarType dtype = at::kFloat) const {
    TrainingBatch batch{.inputs = teacher.inputs(8, 8, samples),
                        .target = noise({samples, 4, 8, 8}, 5).to(dtype),
                        .signal = at::full({samples}, 0.8, dtype),
                        .noise = at::full({samples}, 0.6, dtype),
                        .weight = at::arange(1, samples + 1).to(dtype)};
    batch.inputs.x = batch.inputs.x.to(dtype);
    batch.inputs.context = batch.inputs.context.to(dtype);
    return batch;
  }

  TinyUNet teacher;
  Distillation distillation;
  ResidentWeights known;
  std::vector<LeafTensors> tensors;
  ResidentWeights weights;
};

double value(const Losses& losses, const char* name) { return losses.at(name).item<double>(); }

TEST(Distillation, AStudentThatLacksNothingHasNothingToLearn) {
  Lesson lesson(testing::tiny_spec("sd15"));
  const TrainingBatch batch = lesson.batch(2);
  const Losses losses = lesson.distillation.assembled(batch, lesson.known, lesson.weights, kAll);
  for (const char* name : {"output", "feature", "semantic"}) {
    EXPECT_NEAR(value(losses, name), 0.0, 1e-6) << name;  // what fp32 leaves of a cosine of 1
  }
  const at::Tensor task = mean_squared_error(lesson.teacher.full(batch.inputs), batch.target) * batch.weight;
  EXPECT_NEAR(value(losses, "task"), task.mean().item<double>(), 1e-5);
  EXPECT_TRUE(lesson.distillation.implants().empty());
}

TEST(Distillation, TheLossOfABatchIsTheMeanOfItsSamples) {
  Lesson lesson(student_spec());
  const TrainingBatch whole = lesson.batch(2);
  double sum = 0.0;
  for (int64_t row = 0; row < 2; ++row) {
    const auto one = [&](const at::Tensor& tensor) { return tensor.narrow(0, row, 1); };
    TrainingBatch part{.inputs = {one(whole.inputs.x), one(whole.inputs.timesteps), one(whole.inputs.context), {}, {}},
                       .target = one(whole.target),
                       .signal = one(whole.signal),
                       .noise = one(whole.noise),
                       .weight = one(whole.weight)};
    sum += value(lesson.distillation.assembled(part, lesson.known, lesson.weights, kAll), "total");
  }
  EXPECT_NEAR(value(lesson.distillation.assembled(whole, lesson.known, lesson.weights, kAll), "total"), sum / 2,
              1e-5 * sum);
}

TEST(Distillation, GradientsAreThoseOfTheLoss) {
  Lesson lesson(student_spec(), at::kDouble);
  const TrainingBatch batch = lesson.batch(2, at::kDouble);
  const auto total = [&] {
    return lesson.distillation.assembled(batch, lesson.known, lesson.weights, kAll).at("total");
  };
  for (const size_t leaf : {size_t{4}, lesson.tensors.size() / 2, lesson.tensors.size() - 2}) {
    at::Tensor weight = lesson.tensors[leaf].weight;
    weight.requires_grad_(true);
    total().backward();
    const at::Tensor direction = noise(weight.sizes(), leaf).to(at::kDouble);
    const double slope = (weight.grad() * direction).sum().item<double>();
    weight.requires_grad_(false);
    constexpr double kStep = 1e-5;
    weight.add_(direction, kStep);
    const double above = total().item<double>();
    weight.sub_(direction, 2 * kStep);
    const double below = total().item<double>();
    weight.add_(direction, kStep);
    EXPECT_NEAR((above - below) / (2 * kStep), slope, 1e-4 * std::max(1.0, std::abs(slope)))
        << lesson.distillation.student().leaves()[leaf].name;
  }
}

TEST(Distillation, AnImplantAloneTouchesNothingElse) {
  Lesson lesson(student_spec());
  for (size_t index = 0; index < 2; ++index) {
    const UNet& hybrid = lesson.distillation.hybrid(index);
    std::vector<LeafTensors> tensors = taken_from(lesson.teacher, hybrid);
    for (LeafTensors& leaf : tensors) {
      leaf.weight.requires_grad_(true);
    }
    ResidentWeights weights(hybrid.leaves(), tensors);
    const Losses losses = lesson.distillation.local(index, lesson.batch(1), lesson.known, weights);
    EXPECT_GT(value(losses, "total"), 0.0);
    losses.at("total").backward();
    std::set<LeafId> moved;
    for (size_t leaf = 0; leaf < tensors.size(); ++leaf) {
      const bool embeds = hybrid.leaves()[leaf].name.starts_with("time_embed");
      if (tensors[leaf].weight.grad().defined() && !embeds) {
        moved.insert(static_cast<LeafId>(leaf));
      }
    }
    const std::vector<LeafId> trained = lesson.distillation.trained_leaves(index);
    EXPECT_EQ(moved, std::set<LeafId>(trained.begin(), trained.end())) << lesson.distillation.implants()[index].name;
  }
}

TEST(Distillation, AnImplantIsComparedWithTheTeacherAroundIt) {
  Lesson lesson(student_spec("s0"));
  const TrainingBatch batch = lesson.batch(1);
  const UNet& hybrid = lesson.distillation.hybrid(0);  // one pair: the hybrid is the student
  ResidentWeights weights(hybrid.leaves(), taken_from(lesson.teacher, hybrid));
  const Losses inside = lesson.distillation.implanted(0, batch, lesson.known, weights, kAll);
  const Losses whole = lesson.distillation.assembled(batch, lesson.known, lesson.weights, kAll);
  EXPECT_NEAR(value(inside, "total"), value(whole, "total"), 1e-6 * value(whole, "total"));
}

TEST(Distillation, WhatCannotBeLearntFromIsRefused) {
  EXPECT_THROW(Distillation(preset_spec("sdxl"), student_spec()), Error);
  Lesson lesson(student_spec());
  EXPECT_THROW((void)lesson.distillation.assembled(lesson.batch(1), lesson.known, lesson.weights, {0, 0, 0, 0}), Error);
}

TEST(Losses, AreWhatTheirFormulasSay) {
  const at::Tensor a = at::tensor({1.0, 2.0, 3.0, 4.0}).view({1, 2, 1, 2});
  const at::Tensor b = at::tensor({1.0, 0.0, 3.0, 0.0}).view({1, 2, 1, 2});
  EXPECT_DOUBLE_EQ(mean_squared_error(a, b).item<double>(), 5.0);                               // (4 + 16) / 4
  EXPECT_DOUBLE_EQ(relative_error(a, b).item<double>(), 2.0);                                   // 20 / 10
  EXPECT_NEAR(semantic_distance(a, b).item<double>(), 1 - 6.0 / std::sqrt(14.5 * 2.5), 1e-12);  // (1.5, 3.5), (.5, 1.5)
  const at::Tensor half = at::full({1}, 0.5, at::kDouble);
  EXPECT_LT(difference(predicted_clean(a, b, half, half, Prediction::kEpsilon), 2 * a - b), 1e-6);
  EXPECT_LT(difference(predicted_clean(a, b, half, half, Prediction::kVelocity), 0.5 * (a - b)), 1e-6);
}

}  // namespace
}  // namespace asdm
