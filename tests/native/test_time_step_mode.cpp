// Names, settings and the text form of full_at. Placement is tested in test_time_step_pattern.cpp.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "native/inheritance/time_step_mode.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;
using Indices = std::vector<int64_t>;

constexpr const char* kAllNames =
    "segment, uniform, front, triangular, quadratic, centre, centre_published, growing, growing_published, explicit, "
    "log_snr, equal_change, adaptive, easycache";

TEST(TimeStepMode, NamesAreKnownAndUnknownOnesListThem) {
  struct Row {
    const char* name;
    TimeStepMode mode;
  };
  const std::vector<Row> rows = {
      {"segment", TimeStepMode::kSegment},
      {"uniform", TimeStepMode::kUniform},
      {"front", TimeStepMode::kFront},
      {"triangular", TimeStepMode::kTriangular},
      {"quadratic", TimeStepMode::kQuadratic},
      {"centre", TimeStepMode::kCentre},
      {"centre_published", TimeStepMode::kCentrePublished},
      {"growing", TimeStepMode::kGrowing},
      {"growing_published", TimeStepMode::kGrowingPublished},
      {"explicit", TimeStepMode::kExplicit},
      {"log_snr", TimeStepMode::kLogSnr},
      {"equal_change", TimeStepMode::kEqualChange},
      {"adaptive", TimeStepMode::kAdaptive},
      {"easycache", TimeStepMode::kEasyCache},
  };
  EXPECT_EQ(join(time_step_mode_names()), kAllNames);
  for (const Row& row : rows) {
    EXPECT_EQ(time_step_mode_from(row.name), row.mode) << row.name;
  }
  const std::map<std::string, std::string> meant = {{"", ""},
                                                    {"Uniform", "; did you mean 'uniform'?"},
                                                    {"uniform ", "; did you mean 'uniform'?"},
                                                    {"center", "; did you mean 'centre'?"},
                                                    {"spectrum", ""}};
  for (const auto& [name, hint] : meant) {
    EXPECT_EQ(error_of([&] { return time_step_mode_from(name); }),
              "mode: expected one of: " + std::string(kAllNames) + ", got '" + name + "'" + hint);
  }
}

TEST(TimeStepMode, RefusesSettingsWithoutSense) {
  struct Row {
    TimeStepSettings settings;
    const char* message;
  };
  constexpr auto kExplicit = TimeStepMode::kExplicit;
  const std::vector<Row> rows = {
      {{.interval = 0}, "interval: expected at least 1, got 0"},
      {{.interval = -2}, "interval: expected at least 1, got -2"},
      {{.interval = 0, .full_evaluations = 5}, "interval: expected at least 1"},
      {{.full_evaluations = -1}, "full_evaluations: expected 0 (from interval) or more, got -1"},
      {{.first_full = -1}, "first_full: expected 0 (no guard) or more, got -1"},
      {{.last_full = -3}, "last_full: expected 0 (no guard) or more, got -3"},
      {{.mode = kExplicit}, "full_at: expected the evaluations that are full"},
      {{.mode = kExplicit, .full_at = {0, -1}}, "full_at: expected numbers from 0 to 1000000, got -1"},
      {{.mode = kExplicit, .full_at = {1000001}}, "full_at: expected numbers from 0 to 1000000, got 1000001"},
      {{.mode = kExplicit, .full_at = {0, 4, 4}}, "full_at: expected rising numbers, got 4 after 4"},
      {{.mode = kExplicit, .full_at = {0, 5, 2}}, "full_at: expected rising numbers, got 2 after 5"},
  };
  for (const Row& row : rows) {
    expect_contains(error_of([&] {
                      check(row.settings);
                      return 0;
                    }),
                    row.message);
    // A pattern cannot be made of what does not pass the check.
    expect_contains(error_of([&] { return TimeStepPattern(row.settings, {3.0, 2.0, 1.0}); }), row.message);
  }
  EXPECT_NO_THROW(check({}));
  EXPECT_NO_THROW(check({.full_at = {5, 5}}));  // a list that no mode reads does not matter
  EXPECT_NO_THROW(check({.mode = kExplicit, .full_at = {7}}));
}

TEST(TimeStepMode, FullAtIsReadFromAListOrAMask) {
  struct Row {
    const char* text;
    Indices expected;
  };
  const std::vector<Row> rows = {
      {"0, 3, 6", {0, 3, 6}},
      {"0,3,6", {0, 3, 6}},
      {" 0 3\t6\r\n", {0, 3, 6}},
      {"0 , 3\n,\n6", {0, 3, 6}},
      {"0\n3\n6\n", {0, 3, 6}},
      {"3, 6", {0, 3, 6}},  // the first evaluation is full in any case
      {"7", {0, 7}},
      {"0", {0}},
      {"1", {0, 1}},  // one character is a number
      {"0, 10", {0, 10}},
      {"1000000", {0}},  // a mask, not a number
      {"0, 1000000", {0, 1000000}},
      {"1001001", {0, 3, 6}},
      {" 1001001\n", {0, 3, 6}},
      {"10", {0}},
      {"11", {0, 1}},
      {"0001", {0, 3}},
      {"000", {0}},
      {"1201", {0, 1201}},  // a 2 makes it a number
  };
  for (const Row& row : rows) {
    EXPECT_EQ(full_at_from(row.text), row.expected) << "'" << row.text << "'";
  }
}

TEST(TimeStepMode, FullAtSaysWhatItCannotRead) {
  struct Row {
    const char* text;
    const char* message;
  };
  const std::vector<Row> rows = {
      {"", "full_at: expected evaluations such as '0, 3, 6' or a mask such as '1001001', got an empty text"},
      {" \n", "got an empty text"},
      {"0, x, 6", "full_at: expected evaluations such as '0, 3, 6' or a mask such as '1001001', got 'x'"},
      {"0, 3.5", "got '3.5'"},
      {"0; 3", "got '0;'"},
      {"0-3", "got '0-3'"},
      {"[0, 3]", "got '[0'"},
      {"0x3", "got '0x3'"},
      {"+3", "got '+3'"},
      {"0,, 3", "got ''"},
      {", 3", "got ''"},
      {"0, 3,", "got ''"},
      {"0, -3", "full_at: expected numbers from 0 to 1000000, got -3"},
      {"0, 1000001", "full_at: expected numbers from 0 to 1000000, got 1000001"},
      {"0, 99999999999999999999", "got '99999999999999999999'"},
      {"0, 6, 3", "full_at: expected rising numbers, got 3 after 6"},
      {"0, 3, 3", "full_at: expected rising numbers, got 3 after 3"},
      {"1001 001", "full_at: expected rising numbers, got 1 after 1001"},  // a mask has no blanks
  };
  for (const Row& row : rows) {
    expect_contains(error_of([&] { return full_at_from(row.text); }), row.message);
  }
}

}  // namespace
}  // namespace asdm
