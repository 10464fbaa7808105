#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "native/planning/segment_plan.h"
#include "native/planning/sites.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

constexpr CallSize kSize{64, 64, 77};

std::vector<double> falling(int64_t count) {
  std::vector<double> sigmas;
  for (int64_t i = 0; i < count; ++i) {
    sigmas.push_back(14.0 * std::pow(0.75, static_cast<double>(i)));
  }
  return sigmas;
}

SegmentPlan plan_of(const std::string& preset, int64_t evaluations, double speedup) {
  const UNetSpec spec = preset_spec(preset);
  return segment_plan(make_topology(spec), spec, falling(evaluations), kSize, speedup);
}

TEST(SegmentPlan, IsWhatTheModeDoes) {
  const SegmentPlan plan = plan_of("sd15", 20, 2.0);
  EXPECT_TRUE(plan.sites.front().empty());
  EXPECT_EQ(plan.sites.at(1), std::vector<std::string>{"out.10"});
  EXPECT_EQ(plan.sites.at(19), std::vector<std::string>{"out.6"});
  for (size_t i = 10; i < 16; ++i) {
    EXPECT_TRUE(plan.sites.at(i).empty() || plan.sites.at(i).front() == "out.8") << i;
  }
}

TEST(SegmentPlan, IsTheSlowestThatIsFastEnough) {
  for (const std::string preset : {"sd15", "sd21", "sdxl", "sdxl_refiner"}) {
    const UNetSpec spec = preset_spec(preset);
    for (const int64_t evaluations : {7, 50}) {
      const SegmentPlan plan = plan_of(preset, evaluations, 1.5);
      EXPECT_LE(plan.share, 1.0 / 1.5 + 1e-9);
      EXPECT_GT(plan.share, 1.0 / 1.5 - 1.0 / static_cast<double>(evaluations));
      for (const std::vector<std::string>& at : plan.sites) {
        EXPECT_EQ(
            at.empty() ? 1U : resolve_sites(make_topology(spec), spec, SiteLevel::kBlock, at.front()).phases.size(),
            1U);
      }
    }
  }
}

TEST(SegmentPlan, EndsAtOneFullEvaluationAndAtNoneThatInherits) {
  EXPECT_GT(plan_of("sd15", 20, 20.0).share, 1.0 / 20.0);
  EXPECT_EQ(plan_of("sd15", 20, 1.0).sites, PlanSites(20));
  EXPECT_EQ(plan_of("sd15", 1, 2.0).share, 1.0);
}

TEST(SegmentPlan, RefusesWhatMakesNoSense) {
  expect_contains(error_of([&] { static_cast<void>(plan_of("sd15", 20, 0.5)); }), "speed: expected 1 or more");
  expect_contains(error_of([&] { static_cast<void>(plan_of("sd15", 0, 2.0)); }), "in a run of an evaluation or more");
}

}  // namespace
}  // namespace asdm
