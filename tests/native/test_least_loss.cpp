#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "native/planning/least_loss.h"
#include "native/planning/plan_loss.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

/// Two sites and the whole UNet: the deeper, the less is missed; more at high noise.
LossTable table() {
  return {
      .ln_sigma = {-3.0, 0.0, 3.0},
      .sites = {{.depth = 0.0, .power = 0.8, .ln_level = {-4.0, -1.0, 1.0}, .ln_renewal_level = {-3.0, 0.0, 2.0}},
                {.depth = 0.2, .power = 1.0, .ln_level = {-6.0, -2.5, -0.5}, .ln_renewal_level = {-4.0, -1.0, 0.0}},
                {.depth = 0.5, .power = 1.0, .ln_level = {-8.0, -5.0, -3.0}, .ln_renewal_level = {-7.0, -4.0, -2.0}}},
      .peak = 6.0,
      .reach = 2.0,
      .kinship = 0.4,
      .spread = 0.5};
}

const std::vector<CutCost> kCuts = {{0.0, 0.0}, {0.2, 0.2}, {0.5, 0.6}};

std::vector<CarriedEvaluation> run_of(size_t count) {
  std::vector<CarriedEvaluation> run;
  for (size_t i = 0; i < count; ++i) {
    run.push_back({.sigma = 14.0 * std::pow(0.1, 2.5 * static_cast<double>(i) / static_cast<double>(count)),
                   .carry = 0.05 + 0.9 * std::pow(static_cast<double>(i) / static_cast<double>(count), 4)});
  }
  return run;
}

double share_of(const std::vector<int64_t>& chosen) {
  double sum = 0.0;
  for (const int64_t cut : chosen) {
    sum += cut < 0 ? 1.0 : kCuts[static_cast<size_t>(cut)].share;
  }
  return sum / static_cast<double>(chosen.size());
}

/// The least loss of all plans there are, by trying each.
double least_of_all(const std::vector<CarriedEvaluation>& run, double share) {
  std::vector<int64_t> chosen(run.size(), -1);
  double least = std::numeric_limits<double>::infinity();
  while (true) {
    if (share_of(chosen) <= share) {
      least = std::min(least, predicted_loss(table(), kCuts, run, chosen));
    }
    size_t at = 1;
    while (at < chosen.size() && ++chosen[at] == std::ssize(kCuts)) {
      chosen[at++] = -1;
    }
    if (at == chosen.size()) {
      return least;
    }
  }
}

TEST(LossTable, FollowsThePowerLaw) {
  EXPECT_NEAR(table().miss(0.2, 1.0, {.sigma = std::exp(0.5)}), std::exp(-2.5) * 0.5, 1e-9);
  EXPECT_NEAR(table().miss(0.0, 1.0, {.sigma = std::exp(0.5)}), std::exp(-1.0) * std::pow(0.5, 0.8), 1e-9);
  // halfway between two sites and two levels
  EXPECT_NEAR(table().miss(0.35, std::exp(1.5), {.sigma = std::exp(2.5)}), std::exp((-1.5 - 4.0) / 2), 1e-9);
  // beyond the table its ends hold
  EXPECT_NEAR(table().miss(0.9, 1.0, {.sigma = std::exp(1.0)}), std::exp(-5.0), 1e-9);
}

TEST(LossTable, AddsWhatNoiseMakesThatWasDrawnAnew) {
  const double drifted = table().miss(0.2, 1.0, {.sigma = std::exp(0.5)});
  EXPECT_NEAR(table().miss(0.2, 1.0, {.sigma = std::exp(0.5), .renewed = 1.0}), std::hypot(drifted, std::exp(-1.0)),
              1e-9);
  EXPECT_NEAR(table().miss(0.2, 1.0, {.sigma = std::exp(0.5), .renewed = 0.5}),
              std::hypot(drifted, 0.5 * std::exp(-1.0)), 1e-9);
}

TEST(LossTable, TakesWhatStrayedForAGap) {
  EXPECT_NEAR(table().miss(0.2, 1.0, {.sigma = 1.0, .strayed = -0.5}), std::exp(-2.5) * 0.5, 1e-9);
  EXPECT_NEAR(table().miss(0.2, 1.0, {.sigma = std::exp(0.2), .strayed = 0.3}), std::exp(-2.5) * 0.5, 1e-9);
}

TEST(LossTable, KnowsWhatAForecastMissesOfWhatTheHeldValueWould) {
  LossTable forecasting = table();
  EXPECT_EQ(forecasting.forecast_share(0.7), 1.0);
  forecasting.forecast_ratio = 0.8;
  forecasting.forecast_power = 0.4;
  EXPECT_NEAR(forecasting.forecast_share(0.7), 0.8 * std::pow(0.7, 0.4), 1e-9);
  // beyond what was measured the ends hold
  EXPECT_EQ(forecasting.forecast_share(0.01), forecasting.forecast_share(0.1));
  EXPECT_EQ(forecasting.forecast_share(20.0), forecasting.forecast_share(40.0));
}

TEST(LossTable, IsFiniteWhereNoiseIsNoneAndWhereItRises) {
  EXPECT_TRUE(std::isfinite(table().miss(0.2, 0.0, {.sigma = 0.1})));
  EXPECT_GT(table().miss(0.2, 2.0, {.sigma = 1.0}), 0.0);
  EXPECT_GT(table().miss(0.2, 1.0, {.sigma = 1.0}), 0.0);
}

TEST(LossTable, ReadsItsFileAndNamesWhatIsWrong) {
  const std::string good =
      R"({"format": "asdm.losses", "version": 4, "made_of": {"model": "any"}, "ln_sigma": [0, 1], "peak": 6,
          "reach": 2, "kinship": 0.4, "spread": 0.5, "pull": 0.1, "lasting": 0.01, "forecast_ratio": 0.8, "forecast_power": 0.4, "sites": [{"depth": 0, "power": 1, "ln_level": [0, 0], "ln_renewal_level": [1, 1]},
          {"depth": 0.5, "power": 1, "ln_level": [-1, -1], "ln_renewal_level": [0, 0]}]})";
  EXPECT_EQ(loss_table_from_json(good).sites.size(), 2U);
  const auto changed = [&](const std::string& part, const std::string& by) {
    std::string text = good;
    text.replace(text.find(part), part.size(), by);
    return error_of([&] { static_cast<void>(loss_table_from_json(text)); });
  };
  expect_contains(changed("asdm.losses", "asdm.plan"), "asdm.losses");
  expect_contains(changed("[-1, -1]", "[-1]"), "both levels at every ln_sigma");
  expect_contains(changed("[-1, -1]", "[-1, \"x\"]"), "numbers");
  expect_contains(changed("\"peak\": 6", "\"peak\": 0"), "above 0");
  expect_contains(changed("\"depth\": 0.5", "\"depth\": 0"), "ascending depth");
}

TEST(LeastLoss, ComesCloseToTheBestOfAllPlans) {
  for (const double share : {0.3, 0.45, 0.6, 0.75}) {
    const std::vector<CarriedEvaluation> run = run_of(8);
    const std::vector<int64_t> chosen = least_loss_cuts(table(), kCuts, run, share);
    EXPECT_LE(share_of(chosen), share);
    EXPECT_EQ(chosen.front(), -1);
    // within one decibel
    EXPECT_LE(predicted_loss(table(), kCuts, run, chosen), 1.26 * least_of_all(run, share)) << share;
  }
}

TEST(PlanLoss, TellsWhatOneChangeAddsAsIfAllWereReckonedAnew) {
  std::mt19937 random(5);
  std::uniform_int_distribution<int64_t> cut(-1, std::ssize(kCuts) - 1);
  const LossTable losses = table();
  const std::vector<CarriedEvaluation> run = run_of(14);
  for (const ValueForm value : {ValueForm::kHold, ValueForm::kTaylor1}) {
    PlanLoss of(losses, kCuts, run, value);
    for (int trial = 0; trial < 200; ++trial) {
      Cuts chosen(run.size(), -1);
      std::generate(chosen.begin() + 1, chosen.end(), [&] { return cut(random); });
      const double before = of.settle(chosen);
      const size_t at = 1 + random() % (run.size() - 1);
      const int64_t old = std::exchange(chosen[at], cut(random));
      const Cuts changed = chosen;
      const double added = of.loss_added(chosen, at, old);
      EXPECT_EQ(chosen, changed);
      EXPECT_NEAR(before + added, of.loss(changed), 1e-12 * std::max(before, 1.0));
    }
  }
}

TEST(LeastLoss, UsesWhatItMay) {
  for (const size_t count : {12U, 20U, 50U}) {
    const std::vector<int64_t> chosen = least_loss_cuts(table(), kCuts, run_of(count), 0.5);
    EXPECT_LE(share_of(chosen), 0.5);
    EXPECT_GE(share_of(chosen), 0.475) << count;
  }
}

TEST(LeastLoss, IsExactWhereAllMayBeComputedAndCheapestWhereNothingIsCheapEnough) {
  EXPECT_EQ(least_loss_cuts(table(), kCuts, run_of(4), 1.0), (std::vector<int64_t>{-1, -1, -1, -1}));
  EXPECT_EQ(least_loss_cuts(table(), kCuts, run_of(4), 0.1), (std::vector<int64_t>{-1, 0, 0, 0}));
}

/// What is inherited from an evaluation that inherited deeper parts misses what that one missed, too.
TEST(LeastLoss, CountsWhatLivesOnInWhatWasComputedFromStaleParts) {
  const std::vector<CarriedEvaluation> run = run_of(3);
  const double fresh = predicted_loss(table(), kCuts, run, {-1, -1, 0});
  const double stale = predicted_loss(table(), kCuts, {run[0], {.sigma = run[1].sigma}, run[2]}, {-1, 2, 0});
  EXPECT_GT(stale, fresh);
}

/// A sampler that forgets what its first evaluations missed has them inherit more.
TEST(LeastLoss, InheritsWhereTheSamplerForgives) {
  std::vector<CarriedEvaluation> early = run_of(10);
  std::vector<CarriedEvaluation> late = early;
  for (size_t i = 0; i < early.size(); ++i) {
    early[i].carry = i < 5 ? 1.0 : 0.01;
    late[i].carry = i < 5 ? 0.01 : 1.0;
  }
  const auto work_of_first_half = [&](const std::vector<CarriedEvaluation>& run) {
    const std::vector<int64_t> chosen = least_loss_cuts(table(), kCuts, run, 0.5);
    return share_of({chosen.begin(), chosen.begin() + 5});
  };
  EXPECT_GT(work_of_first_half(early), work_of_first_half(late) + 0.1);
}

/// Shallow parts know the noise: what is best without new noise is not with it.
TEST(LeastLoss, PlansForNoiseThatIsDrawnAnew) {
  std::vector<CarriedEvaluation> run = run_of(10);
  const std::vector<int64_t> without = least_loss_cuts(table(), kCuts, run, 0.5);
  for (size_t i = 0; i < run.size(); ++i) {
    run[i].renewed.assign(i, 1.0);
  }
  const std::vector<int64_t> with = least_loss_cuts(table(), kCuts, run, 0.5);
  EXPECT_LT(predicted_loss(table(), kCuts, run, with), predicted_loss(table(), kCuts, run, without));
}

/// Where neighbouring evaluations lie close, the line through the last two goes on; over long spans it does not.
TEST(LeastLoss, ForecastsWhereLessIsLostSo) {
  LossTable forecasting = table();
  forecasting.forecast_ratio = 1.0;
  forecasting.forecast_power = 0.5;
  const Topology topology = make_topology(preset_spec("sd15"));
  const auto planned = [&](size_t evaluations, bool may_forecast) {
    return least_loss_plan(forecasting, topology, run_of(evaluations), {64, 64, 77}, 2.0, may_forecast);
  };
  EXPECT_EQ(planned(50, true).value, ValueForm::kTaylor1);
  EXPECT_GT(planned(50, true).psnr, planned(50, false).psnr);
  EXPECT_EQ(planned(50, false).value, ValueForm::kHold);
  EXPECT_EQ(planned(4, true).value, ValueForm::kHold);
  EXPECT_EQ(planned(4, true).sites, planned(4, false).sites);
}

/// A forecast needs two values: the first thing that is inherited is held.
TEST(LeastLoss, ForecastsNothingFromOneValue) {
  LossTable forecasting = table();
  forecasting.forecast_ratio = 0.5;
  const auto both = [&](const std::vector<int64_t>& chosen) {
    return std::pair{predicted_loss(forecasting, kCuts, run_of(4), chosen, ValueForm::kHold),
                     predicted_loss(forecasting, kCuts, run_of(4), chosen, ValueForm::kTaylor1)};
  };
  const auto [held_once, forecast_once] = both({-1, 1, -1, -1});
  EXPECT_EQ(held_once, forecast_once);
  const auto [held, forecast] = both({-1, -1, 1, -1});
  EXPECT_NEAR(forecast, held / 4, 1e-9 * held);
}

TEST(LeastLoss, RefusesARunWhoseEvaluationsKnowTooLittle) {
  std::vector<CarriedEvaluation> run = run_of(4);
  run[2].renewed = {0.5};
  const Topology topology = make_topology(preset_spec("sd15"));
  expect_contains(error_of([&] { static_cast<void>(least_loss_plan(table(), topology, run, {64, 64, 77}, 2.0)); }),
                  "evaluations[2].renewed: expected a number for each evaluation before it, or none, got 1");
}

TEST(LeastLoss, PlansForEachFamily) {
  for (const char* preset : {"sd15", "sd21", "sdxl", "sdxl_refiner"}) {
    const Topology topology = make_topology(preset_spec(preset));
    const LeastLossPlan plan = least_loss_plan(table(), topology, run_of(20), {64, 64, 77}, 2.0);
    EXPECT_EQ(plan.sites.size(), 20U);
    EXPECT_TRUE(plan.sites.front().empty());
    EXPECT_NEAR(plan.share, 0.5, 0.025) << preset;
    EXPECT_GT(plan.psnr, 10.0) << preset;
  }
}

TEST(LeastLoss, RefusesWhatIsNoSpeed) {
  const Topology topology = make_topology(preset_spec("sd15"));
  expect_contains(
      error_of([&] { static_cast<void>(least_loss_plan(table(), topology, run_of(4), {64, 64, 77}, 0.5)); }),
      "speed: expected 1 or more");
}

}  // namespace
}  // namespace asdm
