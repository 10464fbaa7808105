#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "native/inheritance/run.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

// Inside a test, `Run` is a member of ::testing::Test.
using SamplingRun = Run;
using Keys = std::vector<std::string>;
using Values = std::vector<float>;

constexpr NodeId kSite = 2;
constexpr NodeCount kNodes{.blocks = 4, .nodes = 4};
constexpr NodeId kNodeCount = 4;
constexpr int64_t kRowBytes = 2 * 3 * 1 * 4;  // one row of a feature [rows, 2, 3, 1] in fp32
constexpr int64_t kNever = 1000;              // an interval that no test comes to the end of

const std::vector<double> kTenSteps = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};

InheritanceSettings every(int64_t interval, std::vector<NodeId> sites = {kSite}) {
  InheritanceSettings settings;
  settings.phases = {SitePhase{.sites = std::move(sites)}};
  settings.time_steps.interval = interval;
  return settings;
}

/// A feature whose row i is filled with values[i].
at::Tensor feature(const Values& values) {
  std::vector<at::Tensor> rows;
  for (const float value : values) {
    rows.push_back(at::full({1, 2, 3, 1}, value));
  }
  return at::cat(rows, 0);
}

/// The values of `feature`'s rows; fails where a row is not one value throughout.
Values rows_of(const at::Tensor& value) {
  Values values;
  for (int64_t i = 0; i < value.size(0); ++i) {
    const at::Tensor row = value.select(0, i);
    EXPECT_EQ(row.min().item<float>(), row.max().item<float>()) << "row " << i;
    values.push_back(row.min().item<float>());
  }
  return values;
}

/// What the UNet does with node kSite in one call whose fresh feature would be `fresh`: what the site's readers see.
Values call(SamplingRun& run, const Keys& keys, const Values& fresh) {
  CallFeatures features = run.begin_call(keys);
  at::Tensor value = features.inherited(kSite);
  if (!value.defined()) {
    value = feature(fresh);
    features.computed(kSite, value);
  }
  run.end_call(features);
  return rows_of(value);
}

/// One evaluation of one call.
Values evaluate(SamplingRun& run, double sigma, const Keys& keys, const Values& fresh) {
  run.begin_evaluation(sigma);
  return call(run, keys, fresh);
}

/// 'F' or '.' for each sigma, as the run decides.
std::string decisions(SamplingRun& run, const std::vector<double>& sigmas) {
  std::string text;
  for (const double sigma : sigmas) {
    const int64_t before = run.record().inherited;
    run.begin_evaluation(sigma);
    text += run.record().inherited > before ? '.' : 'F';
  }
  return text;
}

TEST(Run, WindowsAreSharesOfTheGivenSchedule) {
  struct Row {
    std::vector<double> sigmas;
    double start;
    double end;
    int64_t full_evaluations;
    const char* expected;
  };
  const std::vector<Row> rows = {
      {kTenSteps, 0.0, 1.0, 0, "F........."},
      {kTenSteps, 0.2, 0.8, 0, "FFF.....FF"},
      {kTenSteps, 0.2, 0.8, 2, "FFF..F..FF"},  // spread over the six evaluations of the window
      {kTenSteps, 0.25, 1.0, 0, "FFFF......"},
      {kTenSteps, 0.0, 0.5, 0, "F....FFFFF"},
      {kTenSteps, 0.5, 0.5, 0, "FFFFFFFFFF"},
      {kTenSteps, 1.0, 1.0, 0, "FFFFFFFFFF"},
      {kTenSteps, 0.0, 0.0, 0, "FFFFFFFFFF"},
      {{3, 2, 1, 0}, 0.0, 1.0, 0, "F.."},  // image to image: the shares are of what is left
      {{3, 2, 1, 0}, 0.3, 1.0, 0, "FF."},
      {{3, 2, 1, 0}, 0.34, 1.0, 0, "FFF"},
      {{3, 2, 1, 0}, 0.0, 0.34, 0, "F.F"},
      {{14.6, 5, 1, 0.1, 0}, 0.25, 1.0, 0, "FF.."},  // by place in the schedule, not by sigma's share
      {{14.6, 5, 1, 0.1, 0}, 0.0, 0.75, 0, "F..F"},
      {{7, 5}, 0.0, 1.0, 0, "F"},  // a run that stops early
      {{7, 5, 3}, 0.0, 1.0, 0, "F."},
  };
  for (const Row& row : rows) {
    InheritanceSettings settings = every(kNever);
    settings.time_steps.full_evaluations = row.full_evaluations;
    settings.start_percent = row.start;
    settings.end_percent = row.end;
    SamplingRun run(settings, row.sigmas, kNodes);
    EXPECT_EQ(decisions(run, {row.sigmas.begin(), row.sigmas.end() - 1}), row.expected)
        << row.start << " to " << row.end << " of " << row.sigmas.size() - 1;
  }
}

TEST(Run, WindowEdgesHaveAMarginForSamplersBesideTheirSchedule) {
  InheritanceSettings settings = every(kNever);
  settings.start_percent = 0.2;
  settings.end_percent = 0.8;
  struct Row {
    double sigma;
    const char* expected;  // the first evaluation in the window is full, so a second one tells
  };
  const std::vector<Row> rows = {{8.0, "F."}, {8.0004, "F."}, {8.01, "FF"}, {2.01, "F."}, {2.0001, "FF"}, {2.0, "FF"}};
  for (const Row& row : rows) {
    SamplingRun run(settings, kTenSteps, kNodes);
    EXPECT_EQ(decisions(run, {row.sigma, row.sigma}), row.expected) << row.sigma;
  }
  // An open end has none: samplers may end below the schedule's last sigma.
  SamplingRun open(every(kNever), {7, 5}, kNodes);
  EXPECT_EQ(decisions(open, {7, 3, 1e-9, 0}), "F...");
}

TEST(Run, RefusesSettingsWithoutSense) {
  struct Row {
    double start;
    double end;
    int64_t max_age;
    int64_t interval;
    const char* message;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Row> rows = {
      {0.6, 0.5, 0, 2, "start_percent, end_percent: expected 0 <= start_percent <= end_percent <= 1, got 0.6"},
      {-0.1, 0.5, 0, 2, "expected 0 <= start_percent"},
      {0.0, 1.1, 0, 2, "expected 0 <= start_percent"},
      {nan, 1.0, 0, 2, "expected 0 <= start_percent"},
      {0.0, nan, 0, 2, "expected 0 <= start_percent"},
      {0.0, 1.0, -1, 2, "max_age: expected 0 (no limit) or more, got -1"},
      {0.0, 1.0, 0, 0, "interval: expected at least 1"},
  };
  for (const Row& row : rows) {
    InheritanceSettings settings = every(row.interval);
    settings.start_percent = row.start;
    settings.end_percent = row.end;
    settings.max_age = row.max_age;
    expect_contains(error_of([&] { return SamplingRun(settings, kTenSteps, kNodes).record().calls; }), row.message);
    // Also where the schedule leaves nothing to inherit.
    expect_contains(error_of([&] { return SamplingRun(settings, {}, kNodes).record().calls; }), row.message);
  }
}

TEST(Run, ChunksSurviveFlipsOfGroupingAndOrder) {
  SamplingRun run(every(4), kTenSteps, kNodes);
  EXPECT_EQ(evaluate(run, 10, {"cond", "uncond"}, {1, 2}), (Values{1, 2}));
  run.begin_evaluation(9);  // the same two as two calls, the other way round
  EXPECT_EQ(call(run, {"uncond"}, {-1}), Values{2});
  EXPECT_EQ(call(run, {"cond"}, {-1}), Values{1});
  EXPECT_EQ(evaluate(run, 8, {"uncond", "cond"}, {-1, -1}), (Values{2, 1}));
  EXPECT_EQ(evaluate(run, 7, {"cond", "uncond"}, {-1, -1}), (Values{1, 2}));
  run.begin_evaluation(6);  // full again, in two calls
  EXPECT_EQ(call(run, {"cond"}, {3}), Values{3});
  EXPECT_EQ(call(run, {"uncond"}, {4}), Values{4});
  EXPECT_EQ(evaluate(run, 5, {"uncond", "cond"}, {-1, -1}), (Values{4, 3}));
  EXPECT_EQ(run.record().forced_refreshes.size(), 0U);
}

TEST(Run, RowsOfAChunkStayTogether) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  EXPECT_EQ(evaluate(run, 10, {"a", "b", "c"}, {1, 2, 3, 4, 5, 6}), (Values{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(evaluate(run, 9, {"c", "a", "b"}, {}), (Values{5, 6, 1, 2, 3, 4}));
  EXPECT_EQ(evaluate(run, 8, {"b"}, {}), (Values{3, 4}));
  EXPECT_EQ(run.cache_bytes(), 6 * kRowBytes);
}

TEST(Run, AMissingChunkMakesTheWholeCallCompute) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  EXPECT_EQ(evaluate(run, 10, {"cond"}, {1}), Values{1});
  EXPECT_EQ(evaluate(run, 9, {"cond", "area"}, {5, 6}), (Values{5, 6}));  // never a mixture of old and new
  EXPECT_EQ(evaluate(run, 8, {"area", "cond"}, {-1, -1}), (Values{6, 5}));
  const std::map<std::string, int64_t> expected = {{"no stored features for this conditioning and shape", 1}};
  EXPECT_EQ(run.record().forced_refreshes, expected);
}

TEST(Run, FreshCallsBesideInheritedOnesMakeTheNextEvaluationCompute) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  evaluate(run, 10, {"cond"}, {1});
  EXPECT_EQ(evaluate(run, 9, {"cond"}, {2}), Values{1});
  run.begin_fresh_calls("guidance began");
  EXPECT_EQ(call(run, {"guidance"}, {3}), Values{3});
  EXPECT_EQ(evaluate(run, 8, {"cond"}, {4}), Values{4});
  EXPECT_EQ(call(run, {"guidance"}, {5}), Values{5});
  EXPECT_EQ(evaluate(run, 7, {"cond"}, {6}), Values{4});
  EXPECT_EQ(call(run, {"guidance"}, {7}), Values{5});
  const std::map<std::string, int64_t> expected = {{"guidance began", 2},
                                                   {"no stored features for this conditioning and shape", 1}};
  EXPECT_EQ(run.record().forced_refreshes, expected);
}

TEST(Run, FreshCallsBesideComputedOnesAreOfTheirAge) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  evaluate(run, 10, {"cond"}, {1});
  run.begin_fresh_calls("guidance began");
  call(run, {"guidance"}, {2});
  EXPECT_EQ(evaluate(run, 9, {"cond"}, {3}), Values{1});
}

TEST(Run, ARisingSigmaForcesARefresh) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  EXPECT_EQ(evaluate(run, 5, {"cond"}, {1}), Values{1});
  EXPECT_EQ(evaluate(run, 2, {"cond"}, {2}), Values{1});
  EXPECT_EQ(evaluate(run, 9, {"cond"}, {3}), Values{3});  // a restart sampler went back up
  EXPECT_EQ(evaluate(run, 8, {"cond"}, {4}), Values{3});
  EXPECT_EQ(evaluate(run, 9.0005, {"cond"}, {5}), Values{3});  // within the margin
  EXPECT_EQ(evaluate(run, 9.002, {"cond"}, {6}), Values{6});
  const std::map<std::string, int64_t> expected = {{"sigma rose", 2}};
  EXPECT_EQ(run.record().forced_refreshes, expected);
}

TEST(Run, MaxAgeIsCountedInEvaluations) {
  for (const int64_t max_age : {0, 1, 2, 3}) {
    InheritanceSettings settings = every(kNever);
    settings.max_age = max_age;
    SamplingRun run(settings, kTenSteps, kNodes);
    Values seen;
    for (int i = 0; i < 8; ++i) {
      seen.push_back(evaluate(run, 10 - i, {"cond"}, {static_cast<float>(i)}).front());
    }
    const std::vector<Values> expected = {
        {0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 2, 2, 4, 4, 6, 6}, {0, 0, 0, 3, 3, 3, 6, 6}, {0, 0, 0, 0, 4, 4, 4, 4}};
    EXPECT_EQ(seen, expected[static_cast<size_t>(max_age)]) << "max_age " << max_age;
    const std::map<std::string, int64_t>& forced = run.record().forced_refreshes;
    EXPECT_EQ(forced.empty() ? 0 : forced.at("older than max_age"), (std::vector<int64_t>{0, 3, 2, 1})[max_age]);
  }
}

TEST(Run, WhatAControllerDecidedForAnEvaluationWithoutCallsWasNotDone) {
  InheritanceSettings settings = every(3);
  settings.time_steps = {.mode = TimeStepMode::kAdaptive, .threshold = 0.5};
  SamplingRun run(settings, kTenSteps, kNodes);
  const auto inherits = [&](double sigma, double change) {
    run.begin_evaluation(sigma, change);
    const bool inherited = run.begin_call({"cond"}).inherits();
    call(run, {"cond"}, {1});
    return inherited;
  };
  EXPECT_FALSE(inherits(10, 0.0));
  EXPECT_TRUE(inherits(9, 0.3));
  run.begin_evaluation(8, 0.3);  // due, and the host's own forward makes all of it
  EXPECT_FALSE(inherits(7, 0.3));
  EXPECT_TRUE(inherits(6, 0.3));
}

TEST(Run, ASiteThatWasNotComputedIsNoFeature) {
  SamplingRun run(every(kNever, {1, kSite}), kTenSteps, kNodes);
  evaluate(run, 10, {"cond"}, {1});  // computes kSite alone
  EXPECT_EQ(evaluate(run, 9, {"cond"}, {2}), Values{2});
  const std::map<std::string, int64_t> expected = {{"site was not computed", 1}};
  EXPECT_EQ(run.record().forced_refreshes, expected);
}

TEST(Run, ChunksOfOneBatchMustComeFromInputsOfOneSize) {
  SamplingRun run(every(3), kTenSteps, kNodes);
  const auto evaluate_sized = [&](double sigma, const Keys& keys, int64_t side, const Values& fresh) {
    run.begin_evaluation(sigma);
    CallFeatures features = run.begin_call(keys);
    EXPECT_TRUE(features.enter(0, {side, side}));
    at::Tensor value = features.inherited(kSite);
    if (!value.defined()) {
      value = feature(fresh);
      features.computed(kSite, value);
    }
    run.end_call(features);
    return rows_of(value);
  };
  EXPECT_EQ(evaluate_sized(10, {"cond", "uncond"}, 8, {1, 2}), (Values{1, 2}));
  EXPECT_EQ(evaluate_sized(9, {"uncond", "cond"}, 8, {}), (Values{2, 1}));
  EXPECT_EQ(evaluate_sized(8, {"cond", "uncond"}, 8, {}), (Values{1, 2}));
  EXPECT_EQ(evaluate_sized(7, {"cond"}, 4, {3}), Values{3});  // full: the other chunk keeps its larger input
  EXPECT_EQ(evaluate_sized(6, {"cond", "uncond"}, 4, {5, 6}), (Values{5, 6}));
  const std::map<std::string, int64_t> expected = {{"feature shape changed", 1}};
  EXPECT_EQ(run.record().forced_refreshes, expected);
}

TEST(Run, AnInputOfAnotherSizeIsNoticed) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  run.begin_evaluation(10);
  CallFeatures full = run.begin_call({"cond"});
  EXPECT_TRUE(full.enter(0, {8, 8}));
  EXPECT_TRUE(full.enter(1, {8, 6}));
  full.computed(kSite, feature({1}));
  run.end_call(full);
  run.begin_evaluation(9);
  CallFeatures inheriting = run.begin_call({"cond"});
  EXPECT_TRUE(inheriting.enter(0, {8, 8}));
  EXPECT_FALSE(inheriting.enter(1, {6, 8}));
  inheriting.abandon_inheritance("feature shape changed");
  EXPECT_TRUE(inheriting.enter(1, {6, 8}));
}

TEST(Run, FeaturesAreCopiesOfWhatWasComputed) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  run.begin_evaluation(10);
  CallFeatures full = run.begin_call({"cond"});
  at::Tensor value = feature({1}).requires_grad_(true);
  full.computed(kSite, value);
  value.detach().fill_(99);  // hooks write into what they get
  run.end_call(full);
  run.begin_evaluation(9);
  CallFeatures inheriting = run.begin_call({"cond"});
  const at::Tensor stored = inheriting.inherited(kSite);
  EXPECT_EQ(rows_of(stored), Values{1});
  EXPECT_FALSE(stored.requires_grad());
}

TEST(Run, CallsThatKeepTheirChunksTogetherInheritTheStoredTensorItself) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  evaluate(run, 10, {"cond", "uncond"}, {1, 2});
  const auto inherited = [&](double sigma, const Keys& keys) {
    run.begin_evaluation(sigma);
    CallFeatures features = run.begin_call(keys);
    const at::Tensor value = features.inherited(kSite);
    run.end_call(features);
    return value;
  };
  const at::Tensor first = inherited(9, {"cond", "uncond"});
  EXPECT_EQ(inherited(8, {"cond", "uncond"}).data_ptr(), first.data_ptr());
  EXPECT_EQ(inherited(7, {"cond"}).data_ptr(), first.data_ptr());  // a view of its rows
  const at::Tensor turned = inherited(6, {"uncond", "cond"});
  EXPECT_NE(turned.data_ptr(), first.data_ptr());
  EXPECT_EQ(rows_of(turned), (Values{2, 1}));
  EXPECT_EQ(inherited(5, {"uncond", "cond"}).data_ptr(), turned.data_ptr());
  EXPECT_EQ(run.cache_bytes(), 2 * kRowBytes);
}

TEST(Run, OnlySitesAreKept) {
  SamplingRun run(every(2), kTenSteps, kNodes);
  run.begin_evaluation(10);
  CallFeatures features = run.begin_call({"cond"});
  for (NodeId node = 0; node < kNodeCount; ++node) {
    features.computed(node, feature({static_cast<float>(node)}));
  }
  run.end_call(features);
  EXPECT_EQ(run.cache_bytes(), kRowBytes);
  run.begin_evaluation(9);
  features = run.begin_call({"cond"});
  EXPECT_TRUE(features.inherits());
  EXPECT_EQ(rows_of(features.inherited(kSite)), Values{2});
  EXPECT_FALSE(features.inherited(1).defined());
}

TEST(Run, WhatInheritsNothingStoresNothing) {
  InheritanceSettings all_full = every(3);
  all_full.time_steps.full_evaluations = 10;
  InheritanceSettings more_than_all = all_full;
  more_than_all.time_steps.full_evaluations = 1000;
  InheritanceSettings empty_plan = every(3);
  empty_plan.plan.emplace(10);
  struct Row {
    std::optional<InheritanceSettings> settings;
    std::vector<double> sigmas;
  };
  const std::vector<Row> rows = {
      {every(1), kTenSteps}, {std::nullopt, kTenSteps}, {every(3, {}), kTenSteps},  {every(3), {}},
      {every(3), {7}},       {all_full, kTenSteps},     {more_than_all, kTenSteps}, {empty_plan, kTenSteps}};
  for (const Row& row : rows) {
    SamplingRun run(row.settings, row.sigmas, kNodes);
    for (int i = 0; i < 4; ++i) {
      const auto fresh = static_cast<float>(i);
      EXPECT_EQ(evaluate(run, 10 - i, {"cond"}, {fresh}), Values{fresh});
    }
    EXPECT_EQ(run.cache_bytes(), 0);
    EXPECT_EQ(run.record().peak_cache_bytes, 0);
    EXPECT_EQ(run.record().full, 4);
    EXPECT_EQ(run.record().computed_nodes, (std::vector<int64_t>{0, 0, 4, 0}));
  }
}

TEST(Run, ACallWithoutKeysOrEvaluationInheritsNothing) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  EXPECT_EQ(call(run, {"cond"}, {1}), Values{1});  // a foreign tool calls the model outside of any evaluation
  EXPECT_EQ(run.cache_bytes(), 0);
  EXPECT_EQ(run.record().evaluations, 0);
  evaluate(run, 10, {"cond"}, {2});
  EXPECT_EQ(evaluate(run, 9, {}, {3}), Values{3});
  EXPECT_EQ(call(run, {"cond"}, {-1}), Values{2});
  EXPECT_EQ(run.cache_bytes(), kRowBytes);
}

TEST(Run, ClearEmptiesButKeepsTheRecord) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  evaluate(run, 10, {"cond", "uncond"}, {1, 2});
  EXPECT_EQ(run.cache_bytes(), 2 * kRowBytes);
  run.clear();
  EXPECT_EQ(run.cache_bytes(), 0);
  EXPECT_EQ(run.record().peak_cache_bytes, 2 * kRowBytes);
  EXPECT_EQ(run.record().calls, 1);
  EXPECT_EQ(evaluate(run, 9, {"cond", "uncond"}, {3, 4}), (Values{3, 4}));
}

TEST(Run, TheRecordAddsUp) {
  SamplingRun run(every(3), kTenSteps, kNodes);
  for (int i = 0; i < 8; ++i) {  // full at 0, 3 and 6
    run.begin_evaluation(10 - i);
    call(run, {"cond"}, {0});
    call(run, {i == 4 ? "stranger" : "uncond"}, {0});
  }
  const RunRecord& record = run.record();
  EXPECT_EQ(record.evaluations, 8);
  EXPECT_EQ(record.full, 3);
  EXPECT_EQ(record.inherited, 5);
  EXPECT_EQ(record.calls, 16);
  EXPECT_EQ(record.computed_nodes, (std::vector<int64_t>{0, 0, 7, 0}));  // 2 x 3 full ones and the stranger
  EXPECT_EQ(record.inherited_nodes, (std::vector<int64_t>{0, 0, 9, 0}));
  EXPECT_EQ(record.forced_refreshes.at("no stored features for this conditioning and shape"), 1);
  EXPECT_EQ(record.peak_cache_bytes, 3 * kRowBytes);
}

TEST(Run, AnAbandonedCallCountsAsFullAndStores) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  evaluate(run, 10, {"cond"}, {1});
  run.begin_evaluation(9);
  CallFeatures features = run.begin_call({"cond"});
  EXPECT_TRUE(features.inherited(kSite).defined());
  features.computed(3, feature({7}));
  features.abandon_inheritance("feature shape changed");
  EXPECT_FALSE(features.inherits());
  EXPECT_FALSE(features.inherited(kSite).defined());
  features.computed(kSite, feature({2}));
  features.computed(3, feature({7}));
  run.end_call(features);
  EXPECT_EQ(run.record().computed_nodes, (std::vector<int64_t>{0, 0, 2, 1}));
  EXPECT_EQ(run.record().inherited_nodes, (std::vector<int64_t>{0, 0, 0, 0}));
  EXPECT_EQ(run.record().forced_refreshes.at("feature shape changed"), 1);
  EXPECT_EQ(evaluate(run, 8, {"cond"}, {-1}), Values{2});
}

TEST(Run, RefusesACallOfAnotherUNet) {
  SamplingRun run(every(kNever), kTenSteps, kNodes);
  run.begin_evaluation(10);
  CallFeatures features = run.begin_call({"cond"});
  features.computed(kNodeCount, feature({1}));
  expect_contains(error_of([&] {
                    run.end_call(features);
                    return 0;
                  }),
                  "a call of a UNet of 4 nodes is due, node 4 came");
  EXPECT_EQ(run.record().calls, 0);
}

TEST(Run, FeaturesThatNoCallAsksForGo) {
  // Keys that are new in each evaluation, as a LoRA schedule or closures of a pack make them.
  SamplingRun run(every(kNever), std::vector<double>(21, 1.0), kNodes);
  for (int i = 0; i < 20; ++i) {
    evaluate(run, 1.0, {"cond " + std::to_string(i), "uncond " + std::to_string(i)}, {1, 2});
    EXPECT_LE(run.cache_bytes(), 3 * 2 * kRowBytes);
  }
  // What comes back within two evaluations is there.
  run.begin_evaluation(1.0);
  EXPECT_TRUE(run.begin_call({"cond 18", "uncond 18"}).inherits());
  for (int i = 0; i < 3; ++i) {
    run.begin_evaluation(1.0);  // no call: another cache skipped it, and nothing is learned
  }
  EXPECT_TRUE(run.begin_call({"cond 18", "uncond 18"}).inherits());
}

TEST(Run, NoMoreIsKeptThanWasDeclared) {
  for (const bool together : {true, false}) {
    SamplingRun run(every(kNever), std::vector<double>(21, 1.0), kNodes);
    EXPECT_EQ(run.declare(2 * kRowBytes), 2 * kRowBytes);
    for (int i = 0; i < 20; ++i) {
      run.begin_evaluation(1.0);
      const std::string cond = "cond " + std::to_string(i);
      for (const Keys& keys : together ? std::vector<Keys>{{cond, "uncond"}} : std::vector<Keys>{{cond}, {"uncond"}}) {
        const auto rows = static_cast<int64_t>(keys.size());
        CallFeatures features = run.begin_call(keys, {}, rows, rows * kRowBytes);
        if (!features.inherited(kSite).defined()) {
          features.computed(kSite, feature(Values(keys.size(), 1.0F)));
        }
        run.end_call(features);
      }
    }
    EXPECT_EQ(run.record().peak_cache_bytes, 2 * kRowBytes);
    run.begin_evaluation(1.0);
    EXPECT_EQ(run.declare(kRowBytes), 2 * kRowBytes);
  }
}

TEST(Run, DeclaresWhatAnEvaluationWasSeenToNeed) {
  // Tiles of a wrapper: the host asks for the memory of a whole latent, and many calls come.
  SamplingRun run(every(kNever), std::vector<double>(21, 1.0), kNodes);
  EXPECT_EQ(run.declare(kRowBytes), kRowBytes);
  std::vector<bool> inherited;
  for (int evaluation = 0; evaluation < 3; ++evaluation) {
    run.begin_evaluation(1.0);
    EXPECT_EQ(run.declare(kRowBytes), evaluation == 0 ? kRowBytes : 3 * kRowBytes);
    for (const char* tile : {"a", "b", "c"}) {
      CallFeatures features = run.begin_call({tile}, {}, 1, kRowBytes);
      inherited.push_back(features.inherits());
      if (!features.inherits()) {
        features.computed(kSite, feature({1.0F}));
      }
      run.end_call(features);
      EXPECT_LE(run.cache_bytes(), (evaluation == 0 ? 1 : 3) * kRowBytes);
    }
  }
  EXPECT_EQ(std::vector<bool>(inherited.end() - 3, inherited.end()), std::vector<bool>(3, true));
}

}  // namespace
}  // namespace asdm
