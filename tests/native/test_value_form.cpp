#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "native/inheritance/value_form.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;

/// F0 + near (F0 - F1) + far (F1 - F2).
double forecast(const std::vector<double>& times, const std::vector<double>& values, double time) {
  const DifferenceWeights weights = newton_weights(times, time);
  double result = values[0] + weights.near * (values[0] - values[1]);
  if (values.size() > 2) {
    result += weights.far * (values[1] - values[2]);
  }
  return result;
}

TEST(NewtonWeights, GoOnALineFromTwoValues) {
  struct Row {
    std::vector<double> times;
    double time;
  };
  const auto line = [](double t) { return 3.0 - 2.0 * t; };
  for (const Row& row : std::vector<Row>{{{5, 4}, 6}, {{5, 1}, 6}, {{5, 1}, 9}, {{-0.5, -2.25}, 0.125}}) {
    EXPECT_NEAR(forecast(row.times, {line(row.times[0]), line(row.times[1])}, row.time), line(row.time), 1e-12);
  }
}

TEST(NewtonWeights, GoOnAParabolaFromThreeWhateverTheSpacing) {
  const auto parabola = [](double t) { return 1.0 + 0.5 * t - 0.25 * t * t; };
  const std::vector<std::vector<double>> spacings = {{6, 4, 2}, {6, 5, 0}, {6, 1, 0}, {0.3, -1.1, -4.0}};
  for (const std::vector<double>& times : spacings) {
    for (const double ahead : {0.5, 1.0, 3.0}) {
      const double time = times[0] + ahead;
      const std::vector<double> values = {parabola(times[0]), parabola(times[1]), parabola(times[2])};
      EXPECT_NEAR(forecast(times, values, time), parabola(time), 1e-9) << times[1] << " " << ahead;
    }
  }
}

TEST(NewtonWeights, AreTaylorSeersForEvenSpacing) {
  // TaylorSeer at distance k with an interval n: F + D1 k + D2 k^2 / 2 with divided backward differences; Newton's
  // second term is k (k + n) / 2 in its place, which is exact for a parabola.
  const DifferenceWeights weights = newton_weights({6, 3, 0}, 8);
  EXPECT_DOUBLE_EQ(weights.near, 2.0 / 3 + 2.0 * 5 / (6 * 3));
  EXPECT_DOUBLE_EQ(weights.far, -2.0 * 5 / (6 * 3));
  EXPECT_DOUBLE_EQ(newton_weights({6, 3}, 8).near, 2.0 / 3);
}

TEST(NewtonWeights, HoldWhereTimesCoincideOrAreNoNumbers) {
  const double infinite = std::numeric_limits<double>::infinity();
  for (const auto& times : std::vector<std::vector<double>>{{3, 3}, {3, 3, 1}, {3, -infinite}, {infinite, 3}}) {
    const DifferenceWeights weights = newton_weights(times, 5);
    EXPECT_EQ(weights.near, 0.0);
    EXPECT_EQ(weights.far, 0.0);
  }
  EXPECT_EQ(newton_weights({3, 2, 2}, 5).near, 2.0);  // a line where a parabola is not to be had
  EXPECT_EQ(newton_weights({3, 2, 2}, 5).far, 0.0);
  EXPECT_EQ(newton_weights({3, 2}, infinite).near, 0.0);
}

TEST(ValueForm, NamesGoBothWays) {
  EXPECT_EQ(value_form_names(), (std::vector<std::string>{"hold", "taylor1", "taylor2", "affine"}));
  EXPECT_EQ(value_form_from("taylor2"), ValueForm::kTaylor2);
  EXPECT_EQ(storage_from("cpu_bf16"), Storage::kCpuBf16);
  EXPECT_EQ(error_of([] { return value_form_from("taylor3"); }),
            "value: expected one of: hold, taylor1, taylor2, affine, got 'taylor3'");
  EXPECT_EQ(error_of([] { return storage_from("disk"); }),
            "storage: expected one of: compute, bf16, cpu, cpu_bf16, got 'disk'");
}

}  // namespace
}  // namespace asdm
