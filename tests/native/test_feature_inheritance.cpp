#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <variant>
#include <vector>

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

const InheritanceRequest& options_of(const RecordingHost& host) {
  return std::get<InheritanceRequest>(host.inheritance);
}

Result inherit(RecordingHost& host, std::map<std::string, Value> inputs) {
  inputs.emplace("model", named("model"));
  return find_node("ASDMFeatureInheritance").execute(host, std::move(inputs));
}

TEST(FeatureInheritance, DefaultsReachTheHost) {
  RecordingHost host;
  const Result result = inherit(host, {});
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "model+inheritance");
  EXPECT_EQ(host.inheritance_where, "ASDMFeatureInheritance");
  const InheritanceRequest& options = options_of(host);
  EXPECT_EQ(options.level, "block");
  EXPECT_EQ(options.sites, "auto");
  EXPECT_EQ(options.mode, "segment");
  EXPECT_EQ(options.interval, 3);
  EXPECT_EQ(options.full_evaluations, 0);
  EXPECT_EQ(options.start_percent, 0.0);
  EXPECT_EQ(options.end_percent, 1.0);
  EXPECT_EQ(options.value, "hold");
  EXPECT_EQ(options.max_age, 0);
  EXPECT_EQ(options.threshold, 0.1);
  EXPECT_EQ(options.full_at, "");
  EXPECT_EQ(options.storage, "compute");
  EXPECT_EQ(options.first_full, 0);
  EXPECT_EQ(options.last_full, 0);
}

TEST(FeatureInheritance, EveryInputReachesTheHost) {
  RecordingHost host;
  inherit(host, {{"level", "unit"},
                 {"sites", "out.8, out.5"},
                 {"mode", "explicit"},
                 {"interval", int64_t{5}},
                 {"full_evaluations", int64_t{7}},
                 {"start_percent", 0.25},
                 {"end_percent", 0.75},
                 {"value", "taylor2"},
                 {"max_age", int64_t{4}},
                 {"threshold", 0.3},
                 {"full_at", "0, 4"},
                 {"storage", "cpu_bf16"},
                 {"first_full", int64_t{2}},
                 {"last_full", int64_t{1}}});
  const InheritanceRequest& options = options_of(host);
  EXPECT_EQ(options.level, "unit");
  EXPECT_EQ(options.sites, "out.8, out.5");
  EXPECT_EQ(options.mode, "explicit");
  EXPECT_EQ(options.interval, 5);
  EXPECT_EQ(options.full_evaluations, 7);
  EXPECT_EQ(options.start_percent, 0.25);
  EXPECT_EQ(options.end_percent, 0.75);
  EXPECT_EQ(options.value, "taylor2");
  EXPECT_EQ(options.max_age, 4);
  EXPECT_EQ(options.threshold, 0.3);
  EXPECT_EQ(options.full_at, "0, 4");
  EXPECT_EQ(options.storage, "cpu_bf16");
  EXPECT_EQ(options.first_full, 2);
  EXPECT_EQ(options.last_full, 1);
}

TEST(FeatureInheritance, RefusesValuesOutOfRange) {
  struct Row {
    std::map<std::string, Value> inputs;
    std::string message;
  };
  const std::vector<Row> rows = {
      {{{"interval", int64_t{0}}}, "ASDMFeatureInheritance.interval: expected a number from 1 to 1000, got 0"},
      {{{"interval", int64_t{-3}}}, "ASDMFeatureInheritance.interval: expected a number from 1 to 1000, got -3"},
      {{{"interval", 2.5}}, "ASDMFeatureInheritance.interval: expected INT, got 2.5"},
      {{{"full_evaluations", int64_t{-1}}}, "ASDMFeatureInheritance.full_evaluations: expected a number from 0"},
      {{{"max_age", int64_t{-1}}}, "ASDMFeatureInheritance.max_age: expected a number from 0"},
      {{{"start_percent", -0.1}}, "ASDMFeatureInheritance.start_percent: expected a number from 0 to 1, got -0.1"},
      {{{"end_percent", 1.5}}, "ASDMFeatureInheritance.end_percent: expected a number from 0 to 1, got 1.5"},
      {{{"end_percent", std::numeric_limits<double>::quiet_NaN()}}, "ASDMFeatureInheritance.end_percent"},
      {{{"start_percent", 0.5}, {"end_percent", 0.5}},
       "ASDMFeatureInheritance.end_percent: expected a number above start_percent (0.5), got 0.5"},
      {{{"level", "pixel"}}, "ASDMFeatureInheritance.level: expected one of: block, layer, unit, got 'pixel'"},
      {{{"mode", "random"}}, "ASDMFeatureInheritance.mode: expected one of: segment, uniform, front, triangular"},
      {{{"value", "guess"}},
       "ASDMFeatureInheritance.value: expected one of: hold, taylor1, taylor2, affine, got 'guess'"},
      {{{"storage", "disk"}}, "ASDMFeatureInheritance.storage: expected one of: compute, bf16, cpu, cpu_bf16, got"},
      {{{"threshold", -0.1}}, "ASDMFeatureInheritance.threshold: expected a number from 0 to 100, got -0.1"},
      {{{"mode", "explicit"}}, "ASDMFeatureInheritance.full_at: expected the full evaluations, such as '0, 4, 9'"},
      {{{"sites", " , "}}, "ASDMFeatureInheritance.sites: expected 'auto' or addresses such as 'out.8'"},
      {{{"typo", 0.1}}, "ASDMFeatureInheritance inputs: expected one of: model, level, sites"},
  };
  for (const Row& row : rows) {
    RecordingHost host;
    expect_contains(error_of([&] { return inherit(host, row.inputs); }), row.message);
    EXPECT_EQ(host.inheritance_where, "") << "the host was asked although " << row.message;
  }
}

TEST(FeatureInheritance, IsCheckedBeforeThereIsAModel) {
  const Node& node = find_node("ASDMFeatureInheritance");
  EXPECT_EQ(std::get<InheritanceRequest>(*node.check({{"interval", int64_t{2}}})).interval, 2);
  expect_contains(error_of([&] { return node.check({{"start_percent", 0.8}, {"end_percent", 0.2}}); }),
                  "ASDMFeatureInheritance.end_percent: expected a number above start_percent (0.8), got 0.2");
  EXPECT_TRUE(node.check({{"start_percent", 0.8}, {"end_percent", 0.2}, {"speed", "2x"}})) << "they are not used";
  expect_contains(error_of([&] { return find_node("ASDMApplyPlan").check({{"plan", "{"}}); }), "ASDMApplyPlan.plan: ");
  EXPECT_FALSE(find_node("ASDMSwitchUNets").check({})) << "it inherits nothing";
}

TEST(FeatureInheritance, RefusesOtherModels) {
  RecordingHost host;
  host.description = {"WanModel", std::nullopt, "a video transformer"};
  expect_contains(error_of([&] { return inherit(host, {}); }), "got WanModel: a video transformer");
}

}  // namespace
}  // namespace asdm::nodes
