#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "native/inheritance/decisions.h"

namespace asdm {
namespace {

const std::vector<double> kTenSteps = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};

/// For each evaluation the sites as digits, or F.
std::string text_of(Decisions& decisions, const std::vector<double>& sigmas) {
  std::string text;
  for (const double sigma : sigmas) {
    const Decision decision = decisions.begin(sigma);
    text += decision.kind == Decision::Kind::kFull ? "F" : "";
    for (const NodeId site : decision.sites) {
      text += std::to_string(site);
    }
    text += ' ';
  }
  return text;
}

InheritanceSettings in_phases(std::vector<SitePhase> phases, int64_t interval = 1000) {
  InheritanceSettings settings;
  settings.phases = std::move(phases);
  settings.time_steps.mode = TimeStepMode::kSegment;
  settings.time_steps.interval = interval;
  return settings;
}

std::vector<double> evaluations(const std::vector<double>& schedule) { return {schedule.begin(), schedule.end() - 1}; }

TEST(Decisions, PhasesAreSharesOfTheWindow) {
  struct Row {
    std::vector<SitePhase> phases;
    double start;
    double end;
    const char* expected;
  };
  const std::vector<Row> rows = {
      {{{0, 0.5, {1}}, {0.5, 1, {2}}}, 0.0, 1.0, "F 1 1 1 1 2 2 2 2 2 "},
      {{{0, 0.3, {1}}, {0.6, 1, {2, 3}}}, 0.0, 1.0, "F 1 1 F F F 23 23 23 23 "},  // a gap is full
      {{{0.2, 0.4, {1}}}, 0.0, 1.0, "F F 1 1 F F F F F F "},
      {{{0, 0.5, {1}}, {0.5, 1, {2}}}, 0.2, 0.8, "F F F 1 1 2 2 2 F F "},
      {{{0, 1, {1}}}, 0.0, 1.0, "F 1 1 1 1 1 1 1 1 1 "},
  };
  for (const Row& row : rows) {
    InheritanceSettings settings = in_phases(row.phases);
    settings.start_percent = row.start;
    settings.end_percent = row.end;
    Decisions decisions(settings, kTenSteps);
    EXPECT_EQ(text_of(decisions, evaluations(kTenSteps)), row.expected);
  }
  Decisions decisions(in_phases({{0, 0.5, {1}}, {0.5, 1, {2}}}, 3), kTenSteps);
  EXPECT_EQ(text_of(decisions, evaluations(kTenSteps)), "F 1 1 F 1 2 F 2 2 F ");
}

TEST(Decisions, PhasesFollowTheScheduleNotTheCountOfEvaluations) {
  Decisions decisions(in_phases({{0, 0.5, {1}}, {0.5, 1, {2}}}), kTenSteps);
  // heun evaluates each sigma but the first twice; dpm_2 in between.
  EXPECT_EQ(text_of(decisions, {10, 9, 9, 8, 8, 7, 7, 6, 6, 5.5, 5, 5, 4.5, 1, 0.5}), "F 1 1 1 1 1 1 1 1 1 2 2 2 2 2 ");
}

TEST(Decisions, TheLastStepsAreGuardedHoweverOftenASamplerEvaluates) {
  InheritanceSettings settings = in_phases({{0, 1, {1}}}, 4);
  settings.time_steps.last_full = 2;
  Decisions plain(settings, kTenSteps);
  EXPECT_EQ(text_of(plain, evaluations(kTenSteps)), "F 1 1 1 F 1 1 1 F F ");
  Decisions heun(settings, kTenSteps);
  EXPECT_EQ(text_of(heun, {10, 9, 9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1}),
            "F 1 1 1 F 1 1 1 F F 1 1 F 1 1 F F F F ");
  settings.end_percent = 0.5;
  Decisions half(settings, kTenSteps);
  EXPECT_EQ(text_of(half, {10, 9, 9, 8, 8, 7, 7, 6, 6, 5, 5}), "F 1 1 F F F F F F F F ");
}

TEST(Decisions, APlanSaysItAll) {
  InheritanceSettings settings = in_phases({});
  settings.plan = {{{}, {4}, {4, 7}, {}, {7}}};
  Decisions decisions(settings, kTenSteps);
  EXPECT_TRUE(decisions.ever_inherits());
  EXPECT_EQ(decisions.sites(), (std::set<NodeId>{4, 7}));
  EXPECT_EQ(text_of(decisions, {10, 9, 8, 7, 6, 5, 4}), "F 4 47 F 7 F F ");
}

TEST(RunWindow, SharesAreLinearBetweenTheEntriesOfTheSchedule) {
  const RunWindow whole({14, 6, 2, 0.5, 0}, 0.0, 1.0);
  struct Row {
    double sigma;
    double share;
  };
  for (const Row& row : {Row{14, 0}, Row{20, 0}, Row{10, 0.125}, Row{6, 0.25}, Row{4, 0.375}, Row{2, 0.5},
                         Row{0.5, 0.75}, Row{0.25, 0.875}, Row{0, 1}}) {
    EXPECT_NEAR(whole.share(row.sigma), row.share, 1e-4) << row.sigma;
  }
  const RunWindow part({14, 6, 2, 0.5, 0}, 0.25, 0.75);
  EXPECT_NEAR(part.share(6), 0.0, 1e-4);
  EXPECT_NEAR(part.share(2), 0.5, 1e-4);
  EXPECT_EQ(part.sigmas(), (std::vector<double>{6, 2}));
}

}  // namespace
}  // namespace asdm
