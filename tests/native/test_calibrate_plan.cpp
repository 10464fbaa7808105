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
  host.calibrated = {.plan = short_plan(),
                     .tried = {{2.0, 40.0}, {2.1, 45.0}},
                     .chosen = 1,
                     .reached = true,
                     .judged = 44.4,
                     .runs = 6,
                     .plot = named("plot")};
  auto values = linked();
  values["steps"] = int64_t{30};
  values["denoise"] = 0.6;
  values["target_speedup"] = 1.7;
  values["effort"] = std::string("quick");
  const Result result = find_node("ASDMCalibratePlan").execute(host, values);
  EXPECT_EQ(plan_from_json(std::get<std::string>(result.outputs.at(0))), short_plan());
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(1))), "plot");
  EXPECT_EQ(label_of(result.ui_image), "plot");
  EXPECT_EQ(host.calls.back(), "calibrate_plan full blank euler");
  EXPECT_EQ(host.calibration_run.steps, 30);
  EXPECT_EQ(host.calibration_run.scheduler, "normal");
  EXPECT_DOUBLE_EQ(host.calibration_run.denoise, 0.6);
  EXPECT_DOUBLE_EQ(host.calibration_run.target_speedup, 1.7);
  EXPECT_EQ(host.calibration_run.effort, "quick");
  EXPECT_EQ(result.ui_text,
            "2.1 times less work at 44.4 dB with another seed: no difference to be seen. Plans tried: 2, runs: 6.");
}

TEST(CalibratePlan, SaysWhatTheFigureMeans) {
  RecordingHost host;
  host.calibrated = {.plan = short_plan(), .tried = {{2.0, 50.0}}, .chosen = 0, .reached = true, .judged = 39.9};
  const auto told = [&] { return find_node("ASDMCalibratePlan").execute(host, linked()).ui_text.value(); };
  expect_contains(told(), "39.9 dB with another seed: details differ.");
  host.calibrated.judged = 29.9;
  expect_contains(told(), "29.9 dB with another seed: \u26a0 another picture, a lower target_speedup keeps it.");
}

TEST(CalibratePlan, SaysWhereNoPlanDoesAsLittleAsWasAsked) {
  RecordingHost host;
  host.calibrated = {
      .plan = short_plan(), .tried = {{2.5, 30.0}}, .chosen = 0, .reached = false, .judged = 30.0, .runs = 4};
  auto values = linked();
  values["target_speedup"] = 9.0;
  EXPECT_EQ(find_node("ASDMCalibratePlan").execute(host, values).ui_text,
            "\u26a0 no plan does 9 times less work; the cheapest: 2.5 times less work at 30 dB with another seed: "
            "details differ. Plans tried: 1, runs: 4.");
}

TEST(CalibratePlan, SaysThatItRememberedAndLooksAnewWhereItShall) {
  RecordingHost host;
  host.calibrated = {
      .plan = short_plan(), .tried = {{2.0, 50.0}}, .chosen = 0, .reached = true, .judged = 45.0, .runs = 0};
  auto values = linked();
  values["remember"] = std::string("yes");
  EXPECT_EQ(find_node("ASDMCalibratePlan").execute(host, values).ui_text,
            "2 times less work at 45 dB with another seed: no difference to be seen. Remembered: no run was needed.");
  EXPECT_EQ(host.calibration_run.remember, "yes");
  static_cast<void>(find_node("ASDMCalibratePlan").execute(host, linked()));
  EXPECT_EQ(host.calibration_run.remember, "no");
}

TEST(CalibratePlan, TriesAllThatItDidInGraphsOfBefore) {
  RecordingHost host;
  host.calibrated = {.plan = short_plan(), .tried = {{2.0, 50.0}}};
  static_cast<void>(find_node("ASDMCalibratePlan").execute(host, linked()));
  EXPECT_EQ(host.calibration_run.effort, "thorough");
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
