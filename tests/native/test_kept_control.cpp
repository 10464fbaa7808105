// Residuals of ControlNets as values of the node "control": kept by chunk, handed out in the places they had.
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/run.h"

namespace asdm {
namespace {

using SamplingRun = Run;  // inside a test, `Run` is a member of ::testing::Test
using Keys = std::vector<std::string>;

constexpr NodeId kControl = 5;
constexpr NodeCount kNodes{.blocks = 4, .nodes = 6};

/// One full evaluation, then all inherit the control.
InheritanceSettings control_inherited() {
  InheritanceSettings settings;
  settings.phases = {SitePhase{.sites = {kControl}}};
  settings.time_steps.interval = 1000;
  settings.control = kControl;
  return settings;
}

at::Tensor rows(const std::vector<float>& values) {
  std::vector<at::Tensor> all;
  for (const float value : values) {
    all.push_back(at::full({1, 2, 3, 3}, value));
  }
  return at::cat(all, 0);
}

class KeptControl : public ::testing::Test {
 protected:
  void SetUp() override { run_.begin_evaluation(10, {}); }

  /// A call whose ControlNets run and give `control`.
  void compute(const Keys& keys, Control control) {
    CallFeatures call = run_.begin_call(keys);
    EXPECT_FALSE(call.inherits_control());
    ASSERT_TRUE(call.wants_control());
    call.keep_control(std::move(control), static_cast<int64_t>(keys.size()));
    run_.end_call(call);
  }

  CallFeatures next(const Keys& keys) {
    run_.begin_evaluation(9, {});
    return run_.begin_call(keys);
  }

  SamplingRun run_{control_inherited(), {10, 9, 8, 0}, kNodes};
};

TEST_F(KeptControl, StandsInWhereItWasCountedFromTheEndOfItsList) {
  compute({"cond", "uncond"}, {{at::Tensor(), rows({1, 2}), at::Tensor()}, {rows({3})}, {}});
  const CallFeatures call = next({"cond", "uncond"});
  ASSERT_TRUE(call.inherits_control());
  const Control control = call.inherited_control();
  ASSERT_EQ(control.input.size(), 2U);  // none is behind the first that holds something, seen from the end
  EXPECT_FALSE(control.input[1].defined());
  EXPECT_TRUE(at::equal(control.input[0], rows({1, 2})));
  EXPECT_TRUE(at::equal(control.middle.at(0), rows({3, 3})));  // one row was for all
  EXPECT_TRUE(control.output.empty());
}

TEST_F(KeptControl, IsPutTogetherAnewWhereChunksMeetInAnotherBatch) {
  compute({"cond"}, {{}, {rows({1})}, {}});
  compute({"uncond"}, {{}, {rows({2})}, {}});
  const CallFeatures call = next({"uncond", "cond"});
  ASSERT_TRUE(call.inherits_control());
  EXPECT_TRUE(at::equal(call.inherited_control().middle.at(0), rows({2, 1})));
}

TEST_F(KeptControl, RunsAnewWhereChunksHaveItInDifferentPlaces) {
  compute({"cond"}, {{}, {rows({1})}, {}});
  compute({"uncond"}, {{}, {}, {rows({2})}});
  EXPECT_FALSE(next({"cond", "uncond"}).inherits_control());
  EXPECT_EQ(run_.record().forced_refreshes.count("no stored residuals of ControlNets"), 1U);
}

TEST_F(KeptControl, OfAnotherBatchIsNotKept) {
  for (const at::Tensor& unfit : {rows({1, 2, 3}), at::full({}, 1.0F)}) {
    CallFeatures call = run_.begin_call({"cond", "uncond"});
    call.keep_control({{}, {unfit}, {}}, 2);
    EXPECT_FALSE(call.wants_control());
    run_.end_call(call);
  }
  EXPECT_FALSE(next({"cond", "uncond"}).inherits_control());
}

TEST_F(KeptControl, CountsAmongTheBytes) {
  compute({"cond", "uncond"}, {{}, {}, {rows({1, 2})}});
  EXPECT_EQ(run_.cache_bytes(), 2 * 2 * 3 * 3 * 4);
  run_.clear();
  EXPECT_EQ(run_.cache_bytes(), 0);
}

}  // namespace
}  // namespace asdm
