#include "native/inheritance/time_step_mode.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

/// 'F' for a full evaluation, '.' for an inherited one.
std::string pattern(const TimeStepSettings& settings, int64_t total, int64_t evaluations) {
  std::string text;
  for (int64_t i = 0; i < evaluations; ++i) {
    text += is_full_evaluation(settings, i, total) ? 'F' : '.';
  }
  return text;
}

int64_t count_full(const std::string& text) { return static_cast<int64_t>(std::count(text.begin(), text.end(), 'F')); }

TEST(TimeStepMode, UniformIntervalsOverTwentyEvaluations) {
  struct Row {
    int64_t interval;
    const char* full;
  };
  const std::vector<Row> rows = {
      {1, "FFFFFFFFFFFFFFFFFFFF"}, {2, "F.F.F.F.F.F.F.F.F.F."},  {3, "F..F..F..F..F..F..F."},
      {5, "F....F....F....F...."}, {19, "F..................F"}, {20, "F..................."},
      {1000, "F..................."},
  };
  for (const Row& row : rows) {
    const TimeStepSettings settings{.interval = row.interval};
    EXPECT_EQ(pattern(settings, 20, 20), row.full) << "interval " << row.interval;
    // The pattern of an interval does not depend on how many evaluations are foreseen.
    EXPECT_EQ(pattern(settings, 0, 20), row.full) << "interval " << row.interval << ", total 0";
  }
}

TEST(TimeStepMode, FullEvaluationsSpreadEvenly) {
  struct Row {
    int64_t full;
    int64_t total;
    const char* pattern;
  };
  const std::vector<Row> rows = {
      {1, 20, "F..................."}, {2, 20, "F.........F........."}, {4, 20, "F....F....F....F...."},
      {7, 20, "F..F..F..F..F..F..F."}, {10, 20, "F.F.F.F.F.F.F.F.F.F."}, {15, 20, "F.FFF.FFF.FFF.FFF.FF"},
      {20, 20, "FFFFFFFFFFFFFFFFFFFF"}, {3, 7, "F..F.F."},              {1, 1, "F"},
      {9, 4, "FFFF"},
  };
  for (const Row& row : rows) {
    // The interval beside it says nothing.
    for (const int64_t interval : {1, 3}) {
      const TimeStepSettings settings{.interval = interval, .full_evaluations = row.full};
      EXPECT_EQ(pattern(settings, row.total, row.total), row.pattern) << row.full << " of " << row.total;
    }
  }
}

TEST(TimeStepMode, FullEvaluationsAreExactlyAsManyAsAskedForAndNeverBunched) {
  for (int64_t total = 1; total <= 60; ++total) {
    for (int64_t full = 1; full <= total; ++full) {
      const std::string text = pattern({.interval = 1, .full_evaluations = full}, total, total);
      ASSERT_EQ(count_full(text), full) << full << " of " << total << ": " << text;
      ASSERT_EQ(text.front(), 'F');
      // Gaps differ by one at most, the last (open) gap may be shorter.
      size_t previous = 0;
      for (size_t i = 1; i < text.size(); ++i) {
        if (text[i] == 'F') {
          const auto gap = static_cast<int64_t>(i - previous);
          ASSERT_GE(gap, total / full) << text;
          ASSERT_LE(gap, (total + full - 1) / full) << text;
          previous = i;
        }
      }
    }
  }
}

TEST(TimeStepMode, DensityGoesOnPastTheForeseenTotal) {
  // Samplers of two evaluations per step, and windows of no length.
  EXPECT_EQ(pattern({.interval = 1, .full_evaluations = 2}, 10, 25), "F....F....F....F....F....");
  EXPECT_EQ(pattern({.interval = 1, .full_evaluations = 3}, 0, 4), "FFFF");
  EXPECT_EQ(pattern({.interval = 4}, 10, 14), "F...F...F...F.");
}

TEST(TimeStepMode, InheritsWhereAnyEvaluationIsNotFull) {
  for (int64_t interval = 1; interval <= 4; ++interval) {
    for (int64_t full = 0; full <= 12; ++full) {
      for (int64_t total = 0; total <= 10; ++total) {
        const TimeStepSettings settings{.interval = interval, .full_evaluations = full};
        const std::string text = pattern(settings, total, 40);  // far past the total
        EXPECT_EQ(inherits(settings, total), count_full(text) < 40) << interval << " " << full << " of " << total;
      }
    }
  }
}

TEST(TimeStepMode, TheFirstEvaluationIsAlwaysFull) {
  for (const int64_t interval : {1, 2, 7, 1000}) {
    for (const int64_t full : {0, 1, 5, 1000}) {
      for (const int64_t total : {-1, 0, 1, 20}) {
        EXPECT_TRUE(is_full_evaluation({.interval = interval, .full_evaluations = full}, 0, total));
        EXPECT_TRUE(is_full_evaluation({.interval = interval, .full_evaluations = full}, -1, total));
      }
    }
  }
}

TEST(TimeStepMode, RefusesSettingsWithoutSense) {
  struct Row {
    TimeStepSettings settings;
    const char* message;
  };
  const std::vector<Row> rows = {
      {{.interval = 0}, "interval: expected at least 1 (1 inherits nothing), got 0"},
      {{.interval = -2}, "interval: expected at least 1 (1 inherits nothing), got -2"},
      {{.interval = 0, .full_evaluations = 5}, "interval: expected at least 1"},
      {{.interval = 1, .full_evaluations = -1}, "full_evaluations: expected 0 (from interval) or more, got -1"},
  };
  for (const Row& row : rows) {
    expect_contains(error_of([&] { check(row.settings); return 0; }), row.message);
  }
  EXPECT_NO_THROW(check(TimeStepSettings{.interval = 1, .full_evaluations = 0}));
}

TEST(TimeStepMode, NamesAreKnownAndUnknownOnesListThem) {
  EXPECT_EQ(time_step_mode_names(), std::vector<std::string>{"uniform"});
  EXPECT_EQ(time_step_mode_from("uniform"), TimeStepMode::kUniform);
  for (const char* name : {"", "Uniform", "uniform ", "adaptive"}) {
    EXPECT_EQ(error_of([&] { return time_step_mode_from(name); }),
              "mode: expected one of: uniform, got '" + std::string(name) + "'");
  }
}

}  // namespace
}  // namespace asdm
