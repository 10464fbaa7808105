#include <gtest/gtest.h>

#include <string>
#include <variant>

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

const Plan kPlan{"sd1", 2, "hold", "compute", {{14.5, {}}, {3.25, {"out.8"}}}};

Result apply_plan(RecordingHost& host, const std::string& plan) {
  return find_node("ASDMApplyPlan").execute(host, {{"model", named("model")}, {"plan", Value(plan)}});
}

TEST(ApplyPlan, ThePlanReachesTheHost) {
  RecordingHost host;
  const Result result = apply_plan(host, to_json(kPlan));
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "model+inheritance");
  EXPECT_EQ(std::get<Plan>(host.inheritance), kPlan);
  EXPECT_EQ(host.inheritance_where, "ASDMApplyPlan.plan");
}

TEST(ApplyPlan, ABadPlanIsNamedByItsPath) {
  RecordingHost host;
  expect_contains(error_of([&] { return apply_plan(host, " \n"); }), "ASDMApplyPlan.plan: expected the JSON of a plan");
  std::string text = to_json(kPlan);
  text.replace(text.find("\"out.8\""), 7, "8");
  expect_contains(error_of([&] { return apply_plan(host, text); }),
                  "ASDMApplyPlan.plan: expected the JSON of a plan, as ASDM Report gives it, got "
                  "plan.evaluations[1].sites[0]: expected a string, got 8");
}

TEST(ApplyPlan, RefusesOtherModels) {
  RecordingHost host;
  host.description = {"WanModel", std::nullopt, "a video transformer"};
  expect_contains(error_of([&] { return apply_plan(host, to_json(kPlan)); }), "got WanModel: a video transformer");
}

}  // namespace
}  // namespace asdm::nodes
