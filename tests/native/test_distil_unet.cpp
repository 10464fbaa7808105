#include <gtest/gtest.h>

#include "nodes/registry.h"
#include "tests/native/error_of.h"
#include "tests/native/recording_host.h"

namespace asdm::nodes {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::label_of;
using testing::named;
using testing::RecordingHost;

std::map<std::string, Value> linked() {
  return {{"teacher", named("full")},
          {"student", named("small")},
          {"latents", named("latents")},
          {"positive", named("prompts")}};
}

TEST(DistilUNet, TrainsTheStudentAndShowsItsLoss) {
  RecordingHost host;
  auto values = linked();
  values["steps"] = int64_t{30};
  values["semantic_loss"] = 0.5;
  values["checkpoint"] = std::string("emoji");
  const Result result = find_node("ASDMDistillUNet").execute(host, values);
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "small+distilled+native");
  EXPECT_EQ(host.calls.front(), "distil_unet full latents prompts");
  EXPECT_EQ(host.distil_options.steps, 30);
  EXPECT_EQ(host.distil_options.batch_size, 4);
  EXPECT_DOUBLE_EQ(host.distil_options.task_loss, 1.0);
  EXPECT_DOUBLE_EQ(host.distil_options.semantic_loss, 0.5);
  EXPECT_EQ(host.distil_options.checkpoint, "emoji");
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(1))), "loss plot");
}

TEST(DistilUNet, RefusesOtherModels) {
  RecordingHost host;
  host.description = {"Flux", std::nullopt, "a transformer, no UNet"};
  expect_contains(error_of([&] { return find_node("ASDMDistillUNet").execute(host, linked()); }),
                  "ASDMDistillUNet.teacher: expected the UNet of");
}

}  // namespace
}  // namespace asdm::nodes
