#include <gtest/gtest.h>

#include <limits>

#include "native/switching/unet_schedule.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

using Chain = std::vector<UNetShare>;
using Steps = std::pair<int64_t, int64_t>;

const Chain kOne = {{0, 1.0}};
const std::vector<double> kEight = {14.6, 9.0, 6.0, 4.0, 2.5, 1.5, 0.8, 0.3, 0.0};

TEST(SwitchedChain, Table) {
  EXPECT_EQ(switched_chain(kOne, 1, kOne, 0.5), (Chain{{0, 0.5}, {1, 1.0}}));
  EXPECT_EQ(switched_chain(kOne, 1, kOne, 0.0), (Chain{{1, 1.0}}));
  EXPECT_EQ(switched_chain(kOne, 1, kOne, 1.0), (Chain{{0, 1.0}}));
  const Chain two = {{0, 0.5}, {1, 1.0}};
  EXPECT_EQ(switched_chain(kOne, 1, two, 0.2), (Chain{{0, 0.2}, {1, 0.5}, {2, 1.0}}));
  EXPECT_EQ(switched_chain(kOne, 1, two, 0.7), (Chain{{0, 0.7}, {2, 1.0}}));
  EXPECT_EQ(switched_chain(two, 2, kOne, 0.8), (Chain{{0, 0.5}, {1, 0.8}, {2, 1.0}}));
  EXPECT_EQ(switched_chain(two, 2, kOne, 0.3), (Chain{{0, 0.3}, {2, 1.0}}));
}

TEST(SwitchedChain, RefusesSharesWithoutSense) {
  for (const double share : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    expect_contains(error_of([&] { return switched_chain(kOne, 1, kOne, share); }),
                    "switching share: expected a number");
  }
  expect_contains(error_of([&] { return switched_chain({{0, 0.5}}, 1, kOne, 0.5); }), "expected UNets until share 1");
  expect_contains(error_of([&] { return switched_chain({}, 0, kOne, 0.5); }), "expected UNets until share 1");
  expect_contains(error_of([&] { return UNetSchedule({{0, 0.5}, {1, 0.4}, {2, 1.0}}, kEight); }), "shares that rise");
}

TEST(UNetSchedule, DecidesBySigma) {
  const UNetSchedule schedule({{0, 0.5}, {1, 1.0}}, kEight);
  for (const double sigma : {20.0, 14.6, 9.0, 4.0, 2.6}) {
    EXPECT_EQ(schedule.at(sigma), 0) << sigma;
  }
  for (const double sigma : {2.5, 2.5 * (1.0 + 1e-6), 1.5, 0.3, 0.0}) {
    EXPECT_EQ(schedule.at(sigma), 1) << sigma;
  }
  EXPECT_EQ(schedule.steps(0), (Steps{0, 4}));
  EXPECT_EQ(schedule.steps(1), (Steps{4, 8}));
}

TEST(UNetSchedule, MovesASwitchInsideAStepToTheNearestStep) {
  EXPECT_EQ(UNetSchedule({{0, 0.55}, {1, 1.0}}, kEight).steps(0), (Steps{0, 4}));
  EXPECT_EQ(UNetSchedule({{0, 0.57}, {1, 1.0}}, kEight).steps(0), (Steps{0, 5}));
}

TEST(UNetSchedule, AUNetMayMakeNoStep) {
  const UNetSchedule never({{0, 0.05}, {1, 1.0}}, kEight);
  EXPECT_EQ(never.at(100.0), 1);
  EXPECT_EQ(never.steps(0), (Steps{0, 0}));
  const UNetSchedule always({{0, 0.95}, {1, 1.0}}, kEight);
  EXPECT_EQ(always.at(0.0), 0);
  EXPECT_EQ(always.steps(1), (Steps{8, 8}));
  EXPECT_EQ(UNetSchedule({{0, 0.5}, {1, 1.0}}, {}).at(1.0), 1);
}

TEST(UNetSchedule, ThreeUNets) {
  const UNetSchedule schedule({{0, 0.25}, {1, 0.75}, {2, 1.0}}, kEight);
  EXPECT_EQ(schedule.at(9.0), 0);
  EXPECT_EQ(schedule.at(6.0), 1);
  EXPECT_EQ(schedule.at(1.5), 1);
  EXPECT_EQ(schedule.at(0.8), 2);
  EXPECT_EQ(schedule.steps(1), (Steps{2, 6}));
}

}  // namespace
}  // namespace asdm
