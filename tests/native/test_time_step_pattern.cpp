// TimeStepPattern: what each mode makes of its settings, the guards, and what is past the expected end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "native/inheritance/time_step_mode.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;
using Indices = std::vector<int64_t>;
using Mode = TimeStepMode;

/// Sigmas of `total` evaluations that fall by a tenth each.
std::vector<double> falling(int64_t total) {
  std::vector<double> sigmas;
  for (int64_t i = 0; i < total; ++i) {
    sigmas.push_back(14.6 * std::pow(0.9, static_cast<double>(i)));
  }
  return sigmas;
}

/// Karras' schedule of 20 steps for Stable Diffusion.
const std::vector<double> kKarras = {14.615, 11.726, 9.341, 7.384, 5.79,  4.5,   3.465, 2.641, 1.991, 1.484,
                                     1.091,  0.791,  0.565, 0.397, 0.273, 0.184, 0.121, 0.078, 0.049, 0.029};

/// 'F' for a full evaluation, '.' for an inherited one.
std::string pattern(const TimeStepSettings& settings, int64_t total, int64_t evaluations) {
  const TimeStepPattern made(settings, falling(total));
  std::string text;
  for (int64_t i = 0; i < evaluations; ++i) {
    text += made.is_full(i) ? 'F' : '.';
  }
  return text;
}

Indices full(const TimeStepSettings& settings, int64_t total) {
  return TimeStepPattern(settings, falling(total)).full_evaluations();
}

int64_t count_full(const std::string& text) { return std::count(text.begin(), text.end(), 'F'); }

std::string shown(const TimeStepSettings& settings, int64_t total) {
  return "mode " + time_step_mode_names()[static_cast<size_t>(settings.mode)] + ", interval " +
         std::to_string(settings.interval) + ", full_evaluations " + std::to_string(settings.full_evaluations) +
         ", guards " + std::to_string(settings.first_full) + " and " + std::to_string(settings.last_full) + ", of " +
         std::to_string(total);
}

TEST(TimeStepPattern, UniformIntervalsOverTwentyEvaluations) {
  struct Row {
    int64_t interval;
    const char* full;
  };
  const std::vector<Row> rows = {
      {1, "FFFFFFFFFFFFFFFFFFFF"},    {2, "F.F.F.F.F.F.F.F.F.F."},  {3, "F..F..F..F..F..F..F."},
      {5, "F....F....F....F...."},    {19, "F..................F"}, {20, "F..................."},
      {1000, "F..................."},
  };
  for (const Row& row : rows) {
    for (const Mode mode : {Mode::kUniform, Mode::kSegment}) {
      const TimeStepSettings settings{.mode = mode, .interval = row.interval};
      EXPECT_EQ(pattern(settings, 20, 20), row.full) << "interval " << row.interval;
      // The pattern of an interval does not depend on how many evaluations are foreseen.
      EXPECT_EQ(pattern(settings, 0, 20), row.full) << "interval " << row.interval << ", total 0";
    }
  }
}

TEST(TimeStepPattern, FullEvaluationsSpreadEvenly) {
  struct Row {
    int64_t full;
    int64_t total;
    const char* pattern;
  };
  const std::vector<Row> rows = {
      {1, 20, "F..................."},
      {2, 20, "F.........F........."},
      {4, 20, "F....F....F....F...."},
      {7, 20, "F..F..F..F..F..F..F."},
      {10, 20, "F.F.F.F.F.F.F.F.F.F."},
      {15, 20, "F.FFF.FFF.FFF.FFF.FF"},
      {20, 20, "FFFFFFFFFFFFFFFFFFFF"},
      {3, 7, "F..F.F."},
      {1, 1, "F"},
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

TEST(TimeStepPattern, FullEvaluationsAreExactlyAsManyAsAskedForAndNeverBunched) {
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

// Sequences that the peers publish, as settings of this pack.
TEST(TimeStepPattern, ContainsThePeersSequences) {
  struct Row {
    const char* peer;
    Mode mode;
    int64_t interval;
    int64_t asked;
    int64_t first_full;
    Indices full;  // of 50
  };
  const Indices quad = {0, 3, 7, 11, 16, 21, 27, 32, 38, 44};
  const Indices non_uniform = {0, 5, 9, 13, 17, 21, 26, 31, 37, 43};
  const Indices with_sign = {0, 6, 11, 14, 15, 19, 24, 29, 35, 42};
  const std::vector<Row> rows = {
      {"Faster Diffusion, 50ls", Mode::kFront, 1, 0, 0, {0, 1, 2, 3, 5, 10, 15, 25, 35}},
      {"Faster Diffusion, pro", Mode::kTriangular, 1, 0, 0, {0, 2, 5, 9, 14, 20, 27, 35, 44}},
      {"DeepCache, uniform", Mode::kUniform, 5, 0, 0, {0, 5, 10, 15, 20, 25, 30, 35, 40, 45}},
      {"DeepCache, quad", Mode::kQuadratic, 5, 0, 0, quad},
      {"DeepCache, quad", Mode::kQuadratic, 1, 10, 0, quad},
      {"DeepCache, non-uniform", Mode::kCentrePublished, 5, 0, 0, non_uniform},
      {"DeepCache, non-uniform", Mode::kCentrePublished, 1, 10, 0, non_uniform},
      {"DeepCache, as meant", Mode::kCentre, 5, 0, 0, with_sign},
      {"DeepCache, as meant", Mode::kCentre, 1, 10, 0, with_sign},
      {"spectrum", Mode::kGrowingPublished, 2, 0, 4, {0, 1, 2, 3, 5, 7, 10, 13, 17, 21, 26, 31, 37, 43}},
  };
  for (const Row& row : rows) {
    const TimeStepSettings settings{
        .mode = row.mode, .interval = row.interval, .full_evaluations = row.asked, .first_full = row.first_full};
    EXPECT_EQ(full(settings, 50), row.full) << row.peer;
  }
}

TEST(TimeStepPattern, TakesThePeersListsAndMasks) {
  struct Row {
    const char* peer;
    const char* full_at;
    int64_t total;
    Indices full;
  };
  const std::vector<Row> rows = {
      {"Faster Diffusion, middle", "0, 9, 13, 14, 15, 28, 29, 32, 36, 45", 50, {0, 9, 13, 14, 15, 28, 29, 32, 36, 45}},
      {"Faster Diffusion, back", "0 20 25 30 35 45 46 47 48 49", 50, {0, 20, 25, 30, 35, 45, 46, 47, 48, 49}},
      // compute 6, 1, 1, 1, 1, 1 and cache 1, 3, 4, 5, 4 in turn
      {"cache-dit, SCM fast", "1111110100010000100000100001", 28, {0, 1, 2, 3, 4, 5, 7, 11, 16, 22, 27}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(full({.mode = Mode::kExplicit, .full_at = full_at_from(row.full_at)}, row.total), row.full) << row.peer;
  }
}

TEST(TimeStepPattern, ModesWithoutAListOfTheirOwnCountAsTheIntervalDoes) {
  for (const Mode mode : {Mode::kQuadratic, Mode::kCentre, Mode::kCentrePublished, Mode::kLogSnr, Mode::kEqualChange}) {
    for (int64_t total = 1; total <= 100; ++total) {
      for (int64_t interval = 1; interval <= 12; ++interval) {
        const TimeStepSettings settings{.mode = mode, .interval = interval};
        ASSERT_EQ(std::ssize(full(settings, total)), std::ssize(full({.interval = interval}, total)))
            << shown(settings, total);
      }
    }
  }
}

TEST(TimeStepPattern, GrowingBeginsWithTheInterval) {
  EXPECT_EQ(full({.mode = Mode::kGrowing, .interval = 2}, 20), (Indices{0, 2, 4, 7, 11, 16}));
  EXPECT_EQ(full({.mode = Mode::kGrowing, .interval = 2, .full_evaluations = 10}, 50),
            (Indices{0, 2, 4, 7, 10, 14, 19, 25, 32, 40}));
  EXPECT_EQ(full({.mode = Mode::kGrowing, .interval = 3, .full_evaluations = 7}, 20),
            (Indices{0, 3, 6, 9, 12, 15, 18}));
  EXPECT_EQ(full({.mode = Mode::kGrowingPublished, .interval = 3}, 20), (Indices{0, 3, 6, 10, 14, 19}));
  EXPECT_EQ(full({.mode = Mode::kGrowingPublished, .interval = 2, .full_evaluations = 6}, 18),
            (Indices{0, 2, 4, 7, 10, 14}));
}

TEST(TimeStepPattern, SigmaModesFollowTheSchedule) {
  struct Row {
    std::vector<double> sigmas;
    int64_t full;
    Indices log_snr;
    Indices equal_change;
  };
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<Row> rows = {
      {{8, 4, 2, 1, 0.9, 0.8, 0.7, 0.6}, 2, {0, 2}, {0, 3}},
      {{8, 4, 2, 1, 0.9, 0.8, 0.7, 0.6}, 4, {0, 1, 2, 3}, {0, 2, 3, 5}},
      {kKarras, 5, {0, 6, 11, 15, 18}, {0, 8, 10, 12, 14}},
      {kKarras, 7, {0, 5, 8, 11, 14, 17, 19}, {0, 7, 9, 10, 12, 13, 15}},
      {kKarras, 10, {0, 3, 6, 9, 11, 13, 15, 16, 18, 19}, {0, 5, 8, 9, 10, 11, 12, 13, 14, 16}},
      {{8, 4, 2, 4, 2, 1}, 3, {0, 2, 4}, {0, 3, 5}},  // a restart goes part of the way twice
      {{4, 2, 1, 0}, 2, {0, 1}, {0, 3}},              // no log-SNR at 0: no way to there
      {{0, 0, 0, 0}, 2, {0, 2}, {0, 2}},
      {{3, 3, 3, 3}, 2, {0, 2}, {0, 2}},
      {{3}, 1, {0}, {0}},
  };
  for (const Row& row : rows) {
    const TimeStepSettings log_snr{.mode = Mode::kLogSnr, .full_evaluations = row.full};
    const TimeStepSettings equal_change{.mode = Mode::kEqualChange, .full_evaluations = row.full};
    EXPECT_EQ(TimeStepPattern(log_snr, row.sigmas).full_evaluations(), row.log_snr) << row.full;
    EXPECT_EQ(TimeStepPattern(equal_change, row.sigmas).full_evaluations(), row.equal_change) << row.full;
  }
  for (const double sigma : {-1.0, inf, std::nan("")}) {
    for (const Mode mode : {Mode::kLogSnr, Mode::kEqualChange}) {
      expect_contains(error_of([&] { return TimeStepPattern({.mode = mode, .interval = 2}, {2.0, sigma, 1.0}); }),
                      "window_sigmas: expected finite numbers of at least 0, got");
    }
    EXPECT_NO_THROW(TimeStepPattern({.interval = 2}, {2.0, sigma, 1.0}));
  }
}

TEST(TimeStepPattern, SigmaModesAreEvenOnTheirOwnCoordinate) {
  for (int64_t total = 1; total <= 60; ++total) {
    std::vector<double> even_angles;
    for (int64_t i = 0; i < total; ++i) {
      even_angles.push_back(std::tan(1.5 * static_cast<double>(total - i) / static_cast<double>(total)));
    }
    for (int64_t count = 1; count <= total; ++count) {
      const Indices uniform = full({.full_evaluations = count}, total);
      ASSERT_EQ(full({.mode = Mode::kLogSnr, .full_evaluations = count}, total), uniform);
      const TimeStepSettings settings{.mode = Mode::kEqualChange, .full_evaluations = count};
      ASSERT_EQ(TimeStepPattern(settings, even_angles).full_evaluations(), uniform);
    }
  }
}

TEST(TimeStepPattern, ExplicitTakesTheListAsItIs) {
  const TimeStepSettings list{.mode = Mode::kExplicit, .interval = 2, .full_evaluations = 9, .full_at = {0, 3, 4, 9}};
  EXPECT_EQ(full(list, 12), (Indices{0, 3, 4, 9}));
  EXPECT_EQ(pattern(list, 12, 12), "F..FF....F..");
  // The first is full in any case, and guards are added.
  EXPECT_EQ(full({.mode = Mode::kExplicit, .full_at = {3, 9}, .first_full = 2, .last_full = 2}, 12),
            (Indices{0, 1, 3, 9, 10, 11}));
  // Samplers of several evaluations a step: the list may go past the expected end.
  EXPECT_EQ(pattern({.mode = Mode::kExplicit, .full_at = {0, 3, 7}}, 5, 16), "F..F...FF..F..F.");
  EXPECT_EQ(pattern({.mode = Mode::kExplicit, .full_at = {0}}, 5, 12), "F....F....F.");
}

TEST(TimeStepPattern, ControlledModesPlaceTheGuardsAlone) {
  for (const Mode mode : {Mode::kAdaptive, Mode::kEasyCache}) {
    // A budget and an interval are the controller's.
    EXPECT_EQ(pattern({.mode = mode, .interval = 2, .full_evaluations = 5}, 10, 14), "F.............");
    EXPECT_EQ(pattern({.mode = mode, .interval = 1}, 10, 14), "F.............");
    EXPECT_EQ(pattern({.mode = mode, .first_full = 3, .last_full = 2}, 10, 14), "FFF.....FF....");
    EXPECT_EQ(pattern({.mode = mode, .first_full = 3, .last_full = 7}, 10, 14), "FFFFFFFFFFFFFF");
    EXPECT_EQ(pattern({.mode = mode, .first_full = 3}, 0, 5), "FFF..");
    EXPECT_TRUE(TimeStepPattern({.mode = mode, .interval = 1}, falling(10)).inherits());
    EXPECT_FALSE(TimeStepPattern({.mode = mode, .first_full = 10}, falling(10)).inherits());
  }
}

TEST(TimeStepPattern, GuardsAreFullAndTheModeStartsAtTheLastOfTheFirst) {
  struct Row {
    TimeStepSettings settings;
    const char* expected;  // of 12
  };
  const std::vector<Row> rows = {
      {{.interval = 4, .first_full = 1}, "F...F...F..."},
      {{.interval = 4, .first_full = 3}, "FFF...F...F."},
      {{.interval = 4, .last_full = 1}, "F...F...F..F"},
      {{.interval = 4, .first_full = 2, .last_full = 2}, "FF...F...FFF"},
      {{.interval = 100, .first_full = 2, .last_full = 2}, "FF........FF"},
      // A count includes the guarded.
      {{.full_evaluations = 5, .first_full = 2, .last_full = 1}, "FF...F..F..F"},
      {{.full_evaluations = 3, .first_full = 2, .last_full = 1}, "FF.........F"},
      {{.full_evaluations = 1, .first_full = 2, .last_full = 1}, "FF.........F"},
      {{.full_evaluations = 11, .first_full = 2, .last_full = 1}, "FF.FFFFFFFFF"},
      {{.mode = Mode::kTriangular, .first_full = 2, .last_full = 1}, "FF.F..F...FF"},
      {{.interval = 3, .first_full = 12}, "FFFFFFFFFFFF"},
      {{.interval = 3, .first_full = 7, .last_full = 5}, "FFFFFFFFFFFF"},
      {{.interval = 3, .first_full = INT64_MAX, .last_full = INT64_MAX}, "FFFFFFFFFFFF"},
      {{.full_evaluations = 2, .last_full = 12}, "FFFFFFFFFFFF"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(pattern(row.settings, 12, 12), row.expected) << shown(row.settings, 12);
  }
  // Guards that cover the window leave nothing that inherits, so nothing is stored either.
  EXPECT_FALSE(TimeStepPattern({.interval = 3, .first_full = 7, .last_full = 5}, falling(12)).inherits());
  // The first guard holds where more evaluations come than expected.
  EXPECT_EQ(pattern({.interval = 3, .first_full = 4}, 2, 12), "FFFFFFFFFFFF");
  EXPECT_EQ(pattern({.interval = 3, .first_full = 4}, 0, 12), "FFFF..F..F..");
}

TEST(TimeStepPattern, DensityGoesOnPastTheExpectedEnd) {
  // Samplers of two evaluations per step, and windows of no length.
  EXPECT_EQ(pattern({.interval = 1, .full_evaluations = 2}, 10, 25), "F....F....F....F....F....");
  EXPECT_EQ(pattern({.interval = 1, .full_evaluations = 3}, 0, 4), "FFFF");
  EXPECT_EQ(pattern({.interval = 4}, 10, 14), "F...F...F...F.");
  EXPECT_EQ(pattern({.interval = 4, .first_full = 2}, 10, 16), "FF...F...F...F..");
  EXPECT_EQ(pattern({.mode = Mode::kTriangular}, 10, 20), "F.F..F...FF..F.F..F.");
  EXPECT_EQ(pattern({.mode = Mode::kFront}, 0, 4), "FFFF");
}

/// All combinations of settings that the two tests below go through.
template <typename Visit>
void for_all_settings(Visit visit) {
  for (size_t mode = 0; mode < time_step_mode_names().size(); ++mode) {
    for (const int64_t interval : {1, 2, 3, 7, 1000}) {
      for (const int64_t asked : {0, 1, 2, 5, 10, 33, 1000}) {
        for (const int64_t first : {0, 1, 2, 5, 40}) {
          for (const int64_t last : {0, 1, 3, 40}) {
            TimeStepSettings settings{.mode = static_cast<Mode>(mode),
                                      .interval = interval,
                                      .full_evaluations = asked,
                                      .first_full = first,
                                      .last_full = last};
            if (settings.mode == Mode::kExplicit) {
              settings.full_at = {1, 4, 30};
            }
            visit(settings);
          }
        }
      }
    }
  }
}

TEST(TimeStepPattern, HoldsItsPromisesForAnySettings) {
  for_all_settings([](const TimeStepSettings& settings) {
    const bool listed = settings.mode == Mode::kExplicit;
    const bool controlled = settings.mode == Mode::kAdaptive || settings.mode == Mode::kEasyCache;
    for (const int64_t total : {1, 2, 3, 4, 6, 9, 10, 20, 23, 50, 100}) {
      const TimeStepPattern made(settings, falling(total));
      const Indices& full = made.full_evaluations();
      ASSERT_FALSE(full.empty()) << shown(settings, total);
      ASSERT_EQ(full.front(), 0) << shown(settings, total);
      ASSERT_EQ(std::adjacent_find(full.begin(), full.end(), std::greater_equal<>()), full.end())
          << shown(settings, total);
      ASSERT_TRUE(listed || full.back() < total) << shown(settings, total);
      for (int64_t i = 0; i < total; ++i) {
        ASSERT_EQ(made.is_full(i), std::binary_search(full.begin(), full.end(), i)) << shown(settings, total);
        const bool guarded = i == 0 || i < settings.first_full || i >= total - settings.last_full;
        ASSERT_TRUE(made.is_full(i) || !guarded) << shown(settings, total);
        ASSERT_TRUE(guarded || !controlled || !made.is_full(i)) << shown(settings, total);
      }
      if (settings.full_evaluations > 0 && !listed && !controlled) {
        const int64_t guards = std::max<int64_t>(settings.first_full, 1) + settings.last_full;
        ASSERT_EQ(std::ssize(full), std::min(total, std::max(settings.full_evaluations, guards)))
            << shown(settings, total);
      }
    }
  });
}

TEST(TimeStepPattern, InheritsWhereAnyEvaluationIsNotFull) {
  for_all_settings([](const TimeStepSettings& settings) {
    for (const int64_t total : {0, 1, 2, 10, 40}) {
      const std::string text = pattern(settings, total, 100);  // far past the expected end
      ASSERT_EQ(TimeStepPattern(settings, falling(total)).inherits(), count_full(text) < 100)
          << shown(settings, total) << ": " << text;
      ASSERT_TRUE(TimeStepPattern(settings, falling(total)).is_full(-1));
    }
  });
}

TEST(TimeStepPattern, PastTheEndAsManyAreFullAsInTheWindow) {
  for (const Mode mode : {Mode::kUniform, Mode::kFront, Mode::kTriangular, Mode::kQuadratic, Mode::kCentre,
                          Mode::kGrowing, Mode::kGrowingPublished, Mode::kLogSnr, Mode::kEqualChange}) {
    for (int64_t total = 1; total <= 40; ++total) {
      for (int64_t count = 1; count <= total; ++count) {
        const TimeStepSettings settings{.mode = mode, .interval = 2, .full_evaluations = count};
        const std::string text = pattern(settings, total, 3 * total);
        ASSERT_EQ(count_full(text), 3 * count) << shown(settings, total) << ": " << text;
      }
    }
  }
}

}  // namespace
}  // namespace asdm
