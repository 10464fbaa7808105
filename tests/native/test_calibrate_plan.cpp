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
  return {
      {"model", named("full")},         {"positive", named("prompt")},          {"negative", named("nothing")},
      {"latent_image", named("blank")}, {"sampler_name", std::string("euler")}, {"scheduler", std::string("normal")}};
}

Plan short_plan() {
  return {.steps = 2, .evaluations = {{.sigma = 14.0, .sites = {}}, {.sigma = 3.0, .sites = {"out.8"}}}};
}

TEST(CalibratePlan, GivesThePlanThatTheHostFound) {
  RecordingHost host;
  host.calibrated = {
      .plan = short_plan(), .tried = {{2.0, 40.0}, {2.1, 45.0}}, .chosen = 1, .reached = true, .plot = named("plot")};
  auto values = linked();
  values["steps"] = int64_t{30};
  values["denoise"] = 0.6;
  values["target_speedup"] = 1.7;
  const Result result = find_node("ASDMCalibratePlan").execute(host, values);
  EXPECT_EQ(plan_from_json(std::get<std::string>(result.outputs.at(0))), short_plan());
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(1))), "plot");
  EXPECT_EQ(label_of(result.ui_image), "plot");
  EXPECT_EQ(host.calls.back(), "calibrate_plan full blank euler");
  EXPECT_EQ(host.calibration_run.steps, 30);
  EXPECT_EQ(host.calibration_run.scheduler, "normal");
  EXPECT_DOUBLE_EQ(host.calibration_run.denoise, 0.6);
  EXPECT_DOUBLE_EQ(host.calibration_run.target_speedup, 1.7);
  EXPECT_EQ(result.ui_text, "2.1 times as fast at 45 dB, the closest of 2 plans");
}

TEST(CalibratePlan, SaysWhereNoPlanIsFastEnough) {
  RecordingHost host;
  host.calibrated = {.plan = short_plan(), .tried = {{2.5, 30.0}}, .chosen = 0, .reached = false};
  auto values = linked();
  values["target_speedup"] = 9.0;
  EXPECT_EQ(find_node("ASDMCalibratePlan").execute(host, values).ui_text,
            "no plan is 9 times as fast; the fastest is 2.5 times as fast at 30 dB, of 1 tried");
}

TEST(CalibratePlan, RefusesOtherModelsAndSpeeds) {
  RecordingHost host;
  auto values = linked();
  values["target_speedup"] = 0.5;
  expect_contains(error_of([&] { return find_node("ASDMCalibratePlan").execute(host, values); }),
                  "ASDMCalibratePlan.target_speedup: expected a number from 1 to 20, got 0.5");
  host.description = {"Flux", std::nullopt, "a transformer, no UNet"};
  expect_contains(error_of([&] { return find_node("ASDMCalibratePlan").execute(host, linked()); }),
                  "ASDMCalibratePlan.model: expected the UNet of");
}

}  // namespace
}  // namespace asdm::nodes
