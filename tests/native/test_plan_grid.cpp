#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "native/planning/liveness.h"
#include "native/planning/plan_grid.h"
#include "native/planning/resolved_settings.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

using Sites = std::vector<std::string>;

constexpr CallSize kSize{64, 64, 77};
const UNetSpec kSpec = preset_spec("sd15");
const Topology kTopology = make_topology(kSpec);

Plan plan_of(const std::vector<Sites>& evaluations) {
  Plan plan;
  plan.steps = static_cast<int64_t>(evaluations.size());
  for (const Sites& sites : evaluations) {
    plan.evaluations.push_back({.sigma = 1.0, .sites = sites});
  }
  return plan;
}

PlanGrid grid_of(const std::vector<Sites>& evaluations) {
  return plan_grid(plan_of(evaluations), kTopology, kSpec, kSize);
}

Sites painted_sites(const Sites& sites, const std::string& site, bool inherits = true) {
  return painted(plan_of({{}, sites}), kTopology, kSpec, 1, site, inherits).evaluations[1].sites;
}

/// Of an evaluation that inherits output block `number`.
double share_behind(int64_t number) {
  const NodesOfCall call = live_nodes(kTopology, {kTopology.output(number)}, {});
  return static_cast<double>(live_macs(kTopology, call, kSize)) / static_cast<double>(full_macs(kTopology, kSize));
}

TEST(PlanGrid, HasARowForEachBlockFromTheOutputToTheInput) {
  const PlanGrid grid = grid_of({{}});
  ASSERT_EQ(grid.rows.size(), 25U);
  EXPECT_EQ(grid.rows.front().address, "out.11");
  EXPECT_EQ(grid.rows.front().site, "out");
  EXPECT_EQ(grid.rows[3].site, "out.8");
  EXPECT_EQ(grid.rows[12].site, "mid");
  EXPECT_EQ(grid.rows.back().site, "in.0");
  EXPECT_EQ(grid.columns[0].actions, std::string(25, 'c'));
  EXPECT_DOUBLE_EQ(grid.share, 1.0);
  const UNetSpec sdxl = preset_spec("sdxl");
  EXPECT_EQ(plan_grid(plan_of({{}}), make_topology(sdxl), sdxl, kSize).rows.size(), 19U);
}

TEST(PlanGrid, ShowsWhatASiteSavesAndWhatItCosts) {
  const PlanGrid grid = grid_of({{}, {"out.8"}});
  //                                   out        mid        in
  EXPECT_EQ(grid.columns[1].actions,
            "ccci--------"
            "-"
            "---------ccc");
  EXPECT_EQ(grid.columns[1].sites, Sites{"out.8"});
  EXPECT_DOUBLE_EQ(grid.share, (1.0 + share_behind(8)) / 2.0);
}

TEST(PlanGrid, KeepsWhatIsNoBlockApart) {
  const PlanGrid grid = grid_of({{}, {"out.8", "in.1.attn.0.attn1", "out.9.attn:output"}, {"in.1*", "guidance"}});
  EXPECT_EQ(grid.columns[1].sites, Sites{"out.8"});
  EXPECT_EQ(grid.columns[1].others, (Sites{"in.1.attn.0.attn1", "out.9.attn:output"}));
  EXPECT_EQ(grid.columns[2].others, (Sites{"in.1*", "guidance"}));
  EXPECT_EQ(grid.columns[1].actions.at(2), 'p');   // out.9
  EXPECT_EQ(grid.columns[1].actions.at(23), 'p');  // in.1
  EXPECT_EQ(grid.columns[2].actions.at(23), 'i');
}

TEST(PlanGrid, KnowsThatTheWholeUNetStandsForAll) {
  EXPECT_EQ(grid_of({{}, {"out"}}).columns[1].actions, "i" + std::string(24, '-'));
}

TEST(PlanGrid, ComputesWhatNothingBeforeItLeft) {
  const PlanGrid grid = grid_of({{"out.8"}, {"out.10"}, {"out.8"}});
  EXPECT_TRUE(grid.columns[0].is_refreshed);
  EXPECT_EQ(grid.columns[0].actions, std::string(25, 'c'));
  EXPECT_FALSE(grid.columns[1].is_refreshed);
  EXPECT_FALSE(grid.columns[2].is_refreshed) << "the first left it, though the second did not compute it";
}

TEST(PlanGrid, ComputesWhereThereIsMoreNoiseThanBefore) {
  Plan plan = plan_of({{}, {"out.8"}, {"out.8"}});
  plan.evaluations[1].sigma = 2.0;
  const PlanGrid grid = plan_grid(plan, kTopology, kSpec, kSize);
  EXPECT_TRUE(grid.columns[1].is_refreshed);
  EXPECT_FALSE(grid.columns[2].is_refreshed);
  EXPECT_EQ(grid.columns[1].actions, std::string(25, 'c'));
  plan.evaluations[1].sigma = 0.0;  // of a plan that knows none
  EXPECT_FALSE(plan_grid(plan, kTopology, kSpec, kSize).columns[1].is_refreshed);
}

TEST(PlanGrid, CountsHalfAnEvaluationWhereGuidanceIsInherited) {
  EXPECT_DOUBLE_EQ(grid_of({{}, {"guidance"}}).share, 0.75);
  EXPECT_DOUBLE_EQ(grid_of({{}, {"control"}}).share, 1.0);
}

TEST(PlanGrid, RefusesWhatARunWould) {
  expect_contains(error_of([] { return grid_of({{}, {"out.12"}}); }), "evaluations[1].sites: expected one of");
  expect_contains(error_of([] { return grid_of({{}, {"0.9-1:out.8"}}); }), "expected addresses, got phases of a run");
}

TEST(PlanWithoutAUNet, IsCheckedOnTheUNetOfItsFamily) {
  const Plan plan{"sdxl", 3, "hold", "compute", {{14.5, {}}, {3.25, {"in.7.attn.5.ff"}}, {1.5, {"in.99"}}}};
  const std::string told = error_of([&] {
    check_without_unet(plan);
    return 0;
  });
  expect_contains(told, "evaluations[2].sites");
  expect_contains(told, "in.99");
}

TEST(PaintedPlan, SetsAndTakesAwaySites) {
  EXPECT_EQ(painted_sites({}, "out.8"), Sites{"out.8"});
  EXPECT_EQ(painted_sites({"out.8"}, "out.8", false), Sites{});
  EXPECT_EQ(painted_sites({"out.8"}, "in.1"), (Sites{"out.8", "in.1"}));
}

TEST(PaintedPlan, LeavesNoSiteThatServesNobody) {
  EXPECT_EQ(painted_sites({"out.8", "in.1", "in.0"}, "out.10"), (Sites{"in.0", "out.10"}));
  EXPECT_EQ(painted_sites({"out.8"}, "out"), Sites{"out"});
}

TEST(PaintedPlan, MovesTheCutWhereTheNewOneLiesBehindIt) {
  EXPECT_EQ(painted_sites({"out.8"}, "out.3"), Sites{"out.3"});
  EXPECT_EQ(painted_sites({"out.8", "in.1"}, "in.3"), (Sites{"in.1", "in.3"}));
}

TEST(PaintedPlan, LeavesOtherSitesAsTheyAre) {
  EXPECT_EQ(painted_sites({"in.1.attn.0.attn1", "out.6"}, "out.8"), (Sites{"in.1.attn.0.attn1", "out.8"}));
  EXPECT_EQ(painted_sites({"mid.0.conv2", "out.8"}, "out.8", false), Sites{"mid.0.conv2"});
  expect_contains(error_of([] { return painted_sites({"out.8*"}, "out.3"); }), "which other sites");
  expect_contains(error_of([] { return painted_sites({"out.8*"}, "out.8", false); }), "the text alone can change");
}

TEST(PaintedPlan, TakesAStrokeOverCellsThatAreAsItWantsThem) {
  EXPECT_EQ(painted_sites({"out.8"}, "out.8"), Sites{"out.8"});
  EXPECT_EQ(painted_sites({"out.8", "control"}, "out.8"), (Sites{"control", "out.8"}));
  EXPECT_EQ(painted_sites({}, "out.8", false), Sites{});
  EXPECT_EQ(painted_sites({"out.3"}, "out.8", false), Sites{"out.3"});
}

TEST(PaintedPlan, NamesWhatIsNotThere) {
  expect_contains(error_of([] { return painted(plan_of({{}}), kTopology, kSpec, 1, "out.8", true); }),
                  "plan.evaluations[1]: expected one of 1 evaluations");
  expect_contains(error_of([] { return painted_sites({}, "out.11"); }), "expected the site of a block, got 'out.11'");
}

TEST(BegunPlan, IsFullAtFirstAndInheritsThen) {
  const Plan plan = begun_plan(kTopology, kSpec, 4);
  EXPECT_EQ(plan, plan_from_json(to_json(plan)));
  EXPECT_EQ(plan.family, "sd1");
  EXPECT_EQ(plan.steps, 4);
  EXPECT_TRUE(plan.evaluations[0].sites.empty());
  EXPECT_FALSE(plan.evaluations[1].sites.empty());
  EXPECT_TRUE(plan.evaluations[3].sites.empty());
  expect_contains(error_of([] { return begun_plan(kTopology, kSpec, 0); }), "an integer from 1");
}

}  // namespace
}  // namespace asdm
