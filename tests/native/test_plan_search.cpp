#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "native/planning/plan_search.h"
#include "native/planning/presets.h"
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

PlanSearch search_of(const std::string& preset, double target, int64_t evaluations = 20) {
  const UNetSpec spec = preset_spec(preset);
  return {make_topology(spec), spec, falling(evaluations), kSize, target};
}

/// Runs a search against a machine on which a run takes `fixed` seconds and one more for all multiply-accumulates, and
/// a sampler that comes as close as `psnr` says of the plan.
void finish(PlanSearch& search, double fixed, const std::function<double(const PlanSites&)>& psnr) {
  search.add_full_run(fixed + 1.0);
  const std::map<std::string, double> shares = {{"out.10", 0.08}, {"out.8", 0.38}, {"out.6", 0.56}, {"out.4", 0.75}};
  while (const auto sites = search.next()) {
    double macs = 0.0;
    for (const std::vector<std::string>& evaluation : *sites) {
      const auto share = evaluation.empty() ? shares.end() : shares.find(evaluation.front());
      macs += share == shares.end() ? 1.0 : share->second;
    }
    search.add_trial(fixed + macs / static_cast<double>(sites->size()), psnr(*sites));
  }
}

/// Closer the fewer evaluations near the end inherit by a shallow cut: what euler does.
double late_matters(const PlanSites& sites) {
  double error = 1e-6;
  for (size_t i = 0; i < sites.size(); ++i) {
    const double weight = std::exp(0.4 * static_cast<double>(i) - 8.0);
    if (!sites[i].empty()) {
      error += weight * (sites[i].front() == "out.10" ? 4.0 : sites[i].front() == "out.8" ? 1.0 : 0.3);
    }
  }
  return -10.0 * std::log10(error);
}

TEST(CutLadder, HasTheAutomaticCutsAndWhatLiesAroundThem) {
  const auto ladder = [](const std::string& preset) {
    const UNetSpec spec = preset_spec(preset);
    const Topology topology = make_topology(spec);
    std::vector<std::string> addresses;
    for (const NodeId cut : cut_ladder(topology, spec)) {
      addresses.push_back(topology.node(cut).address);
    }
    return addresses;
  };
  EXPECT_EQ(ladder("sd15"), (std::vector<std::string>{"out.10", "out.8", "out.6", "out.4", "out.2", "out.0"}));
  EXPECT_EQ(ladder("sdxl"), (std::vector<std::string>{"out.7", "out.6", "out.4", "out.2", "out.0"}));
}

TEST(PlanSearch, BeginsWithWhatSegmentWouldDo) {
  PlanSearch search = search_of("sd15", 2.0);
  search.add_full_run(1.0);
  const PlanSites sites = search.next().value();
  ASSERT_EQ(sites.size(), 20);
  EXPECT_TRUE(sites.front().empty());
  EXPECT_EQ(sites.at(1), std::vector<std::string>{"out.10"});
  EXPECT_EQ(sites.at(19), std::vector<std::string>{"out.6"});
  for (size_t i = 10; i < 16; ++i) {
    EXPECT_TRUE(sites.at(i).empty() || sites.at(i).front() == "out.8") << i;
  }
}

TEST(PlanSearch, ImprovesOnItsStartAndReachesTheTarget) {
  for (const double target : {1.3, 1.7, 2.2}) {
    SCOPED_TRACE(target);
    PlanSearch search = search_of("sd15", target);
    finish(search, 0.1, late_matters);
    const std::vector<PlanTrial>& trials = search.trials();
    ASSERT_GT(trials.size(), 4);
    const PlanTrial& best = trials.at(search.best());
    EXPECT_TRUE(search.reaches_target(best));
    const auto start = std::find_if(trials.begin(), trials.end(),
                                    [&](const PlanTrial& trial) { return search.reaches_target(trial); });
    EXPECT_GT(best.psnr, start->psnr);
    for (const PlanTrial& trial : trials) {
      EXPECT_TRUE(trial.psnr <= best.psnr || !search.reaches_target(trial));
    }
  }
}

TEST(PlanSearch, TriesNoPlanTwiceAndEnds) {
  PlanSearch search = search_of("sd15", 1.8);
  finish(search, 0.2, late_matters);
  std::set<PlanSites> seen;
  for (const PlanTrial& trial : search.trials()) {
    EXPECT_TRUE(seen.insert(trial.sites).second);
    EXPECT_TRUE(trial.sites.front().empty());
  }
  EXPECT_LE(search.trials().size(), PlanSearch::kMostTrials);
}

// Half of a run's time stays whatever is inherited: twice as fast cannot be, and the plan that says so is the fastest.
TEST(PlanSearch, GivesTheFastestPlanWhereTheTargetIsOutOfReach) {
  PlanSearch search = search_of("sd15", 4.0);
  finish(search, 1.0, late_matters);
  const PlanTrial& best = search.trials().at(search.best());
  EXPECT_FALSE(search.reaches_target(best));
  EXPECT_EQ(best.full, 1);
  for (const PlanTrial& trial : search.trials()) {
    EXPECT_GE(trial.share, best.share);
  }
}

TEST(PlanSearch, InheritsNothingAtTheSpeedOfAFullRun) {
  PlanSearch search = search_of("sd15", 1.0);
  finish(search, 0.1, [](const PlanSites&) { return 100.0; });
  ASSERT_EQ(search.trials().size(), 1);
  EXPECT_EQ(search.trials().front().full, 20);
}

TEST(PlanSearch, KnowsWhatEveryPresetHas) {
  for (const std::string preset : {"sd15", "sd21", "sdxl", "sdxl_refiner"}) {
    SCOPED_TRACE(preset);
    const UNetSpec spec = preset_spec(preset);
    const Topology topology = make_topology(spec);
    for (const int64_t evaluations : {1, 2, 7, 50}) {
      PlanSearch search{topology, spec, falling(evaluations), kSize, 1.5};
      search.add_full_run(1.0);
      for (auto sites = search.next(); sites; sites = search.next()) {
        ASSERT_EQ(std::ssize(*sites), evaluations);
        for (const std::vector<std::string>& evaluation : *sites) {
          if (!evaluation.empty()) {
            EXPECT_EQ(resolve_sites(topology, spec, SiteLevel::kBlock, evaluation.front()).phases.size(), 1);
          }
        }
        search.add_trial(0.5, 30.0);
      }
    }
  }
}

TEST(PlanSearch, RefusesWhatMakesNoSense) {
  const UNetSpec spec = preset_spec("sd15");
  const Topology topology = make_topology(spec);
  expect_contains(error_of([&] { return PlanSearch(topology, spec, {}, kSize, 2.0).best(); }),
                  "PlanSearch.sigmas: expected one for each evaluation of a run, got none");
  expect_contains(error_of([&] { return PlanSearch(topology, spec, {1.0}, kSize, 0.5).best(); }),
                  "target_speedup: expected 1 or more, got 0.5");
  PlanSearch search = search_of("sd15", 2.0);
  expect_contains(error_of([&] { return search.next(); }), "no full run was timed");
  expect_contains(error_of([&] { search.add_trial(1.0, 1.0); }), "no plan waits for a result");
  search.add_full_run(1.0);
  (void)search.next();
  expect_contains(error_of([&] { return search.next(); }), "the plan before has no result");
}

TEST(RunTime, IsALineThroughTheRuns) {
  RunTime time;
  EXPECT_EQ(time.speedup(0.5), 1.0);
  time.add(1.0, 2.0);
  EXPECT_DOUBLE_EQ(time.speedup(0.5), 2.0);  // nothing is known of what stays
  EXPECT_DOUBLE_EQ(time.share_at(4.0), 0.25);
  time.add(0.5, 1.25);
  EXPECT_DOUBLE_EQ(time.seconds(0.0), 0.5);
  EXPECT_DOUBLE_EQ(time.speedup(0.5), 1.6);
  EXPECT_DOUBLE_EQ(time.share_at(1.6), 0.5);
  EXPECT_LT(time.share_at(8.0), 0.0);  // what stays alone takes a quarter of a full run
  EXPECT_DOUBLE_EQ(time.share_at(1.0), 1.0);
}

// Times vary: runs that compute less and take longer must not make the line fall.
TEST(RunTime, GoesThroughTheOriginWhereTheRunsGiveNoLine) {
  RunTime time;
  time.add(1.0, 1.0);
  time.add(0.5, 1.2);
  EXPECT_GT(time.speedup(0.5), 1.9);
  RunTime steep;  // less than nothing would stay
  steep.add(1.0, 2.0);
  steep.add(0.5, 0.2);
  EXPECT_GE(steep.seconds(0.0), 0.0);
  EXPECT_GT(steep.speedup(0.5), 1.9);
}

}  // namespace
}  // namespace asdm
