// Values made from a series, against closed formulas.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>
#include <vector>

#include "native/inheritance/feature_series.h"
#include "native/inheritance/forecast_trust.h"
#include "tests/native/tensors.h"

namespace asdm {
namespace {

using testing::difference;
using testing::noise;

using Path = std::function<at::Tensor(double)>;

ValueSettings form(ValueForm value_form, Storage storage = Storage::kCompute) {
  return {.form = value_form, .storage = storage};
}

void push(FeatureSeries& series, const at::Tensor& value, const EvaluationPoint& now,
          Storage storage = Storage::kCompute) {
  series.push(KeptValue(value, storage), now);
}

/// A series that saw `path` at `evaluations`, where sigma falls by half each time.
FeatureSeries seen(const ValueSettings& settings, const Path& path, const std::vector<int64_t>& evaluations) {
  FeatureSeries series(settings);
  for (const int64_t evaluation : evaluations) {
    push(series, path(static_cast<double>(evaluation)), {evaluation, std::exp2(-static_cast<double>(evaluation))},
         settings.storage);
  }
  return series;
}

at::Tensor at_evaluation(const FeatureSeries& series, int64_t evaluation) {
  return series.value({evaluation, std::exp2(-static_cast<double>(evaluation))}, {0, series.rows()});
}

const at::Tensor kStart = noise({2, 4, 3, 5}, 1);
const at::Tensor kSlope = noise({2, 4, 3, 5}, 2);
const at::Tensor kBend = noise({2, 4, 3, 5}, 3);

at::Tensor line(double t) { return kStart + kSlope * t; }
at::Tensor parabola(double t) { return line(t) + kBend * (t * t * 0.1); }

TEST(FeatureSeries, HoldsTheLastValueAndCopiesNothing) {
  const FeatureSeries series = seen(form(ValueForm::kHold), line, {0, 2});
  EXPECT_EQ(difference(at_evaluation(series, 5), line(2)), 0.0);
  EXPECT_EQ(at_evaluation(series, 5).data_ptr(), at_evaluation(series, 6).data_ptr());
  EXPECT_FALSE(series.forecasts());
}

TEST(FeatureSeries, FirstOrderFollowsALine) {
  const FeatureSeries series = seen(form(ValueForm::kTaylor1), line, {0, 1, 4, 6});
  EXPECT_TRUE(series.forecasts());
  for (const int64_t evaluation : {6, 7, 8}) {
    EXPECT_LE(difference(at_evaluation(series, evaluation), line(static_cast<double>(evaluation))), 1e-5);
  }
}

TEST(FeatureSeries, SecondOrderFollowsAParabolaWhateverTheSpacing) {
  for (const std::vector<int64_t>& evaluations :
       std::vector<std::vector<int64_t>>{{0, 2, 4}, {0, 1, 5, 6}, {0, 4, 5}}) {
    const FeatureSeries series = seen(form(ValueForm::kTaylor2), parabola, evaluations);
    const int64_t next = 2 * evaluations.back() - *(evaluations.end() - 2);
    EXPECT_LE(difference(at_evaluation(series, next), parabola(static_cast<double>(next))), 1e-4);
  }
}

TEST(FeatureSeries, OrdersFallBackWhileValuesAreFew) {
  EXPECT_EQ(difference(at_evaluation(seen(form(ValueForm::kTaylor2), line, {3}), 5), line(3)), 0.0);
  EXPECT_LE(difference(at_evaluation(seen(form(ValueForm::kTaylor2), line, {3, 4}), 5), line(5)), 1e-5);
  EXPECT_EQ(difference(at_evaluation(seen(form(ValueForm::kTaylor1), line, {3}), 5), line(3)), 0.0);
  EXPECT_EQ(difference(at_evaluation(seen(form(ValueForm::kAffine), line, {3}), 5), line(3)), 0.0);
}

TEST(FeatureSeries, ForecastsReachNoFurtherThanTheLastGap) {
  const std::vector<int64_t> guarded_start = {0, 1, 2};  // then nothing for long
  for (const ValueForm value : {ValueForm::kTaylor1, ValueForm::kTaylor2, ValueForm::kAffine}) {
    const FeatureSeries series = seen(form(value), parabola, guarded_start);
    EXPECT_GT(difference(at_evaluation(series, 3), parabola(2)), 0.1);
    EXPECT_EQ(difference(at_evaluation(series, 9), at_evaluation(series, 3)), 0.0);
  }
  const FeatureSeries wide = seen(form(ValueForm::kTaylor1), line, {0, 1, 5});
  EXPECT_LE(difference(at_evaluation(wide, 9), line(9)), 1e-5);
  EXPECT_EQ(difference(at_evaluation(wide, 12), at_evaluation(wide, 9)), 0.0);
}

/// <F - F0, D> / <D, D> of one row, cut to [0, 1].
at::Tensor trust(const at::Tensor& fresh, const at::Tensor& last, const at::Tensor& foretold) {
  const at::Tensor d = (foretold - last).flatten(1);
  return (((fresh - last).flatten(1) * d).sum(1) / (d * d).sum(1)).clamp(0, 1).view({-1, 1, 1, 1});
}

TEST(ForecastTrust, EqualsTheFormulaInEveryLayoutAndDtype) {
  struct Row {
    std::vector<int64_t> shape;
    at::ScalarType dtype;
    double tolerance;
  };
  const DifferenceWeights weights{.near = 0.75, .far = -0.25};
  for (const Row& row : {Row{{3, 8, 70, 17}, at::kFloat, 1e-5}, Row{{2, 33, 5}, at::kFloat, 1e-5},
                         Row{{2, 16, 9, 9}, at::kBFloat16, 2e-2}, Row{{2, 16, 9, 9}, at::kHalf, 2e-3},
                         Row{{2, 3, 4, 5}, at::kDouble, 1e-6}}) {
    std::vector<at::Tensor> values;
    for (uint64_t seed = 1; seed < 4; ++seed) {
      values.push_back(noise(row.shape, seed).to(row.dtype));
    }
    const auto step = [&](size_t i) { return values[i].to(at::kDouble) - values[i + 1].to(at::kDouble); };
    const at::Tensor foretold = values[0].to(at::kDouble) + step(0) * 0.75 - step(1) * 0.25;
    const at::Tensor fresh = (values[0].to(at::kDouble) + (foretold - values[0].to(at::kDouble)) * 0.6 +
                              noise(row.shape, 9).to(at::kDouble) * 0.05)
                                 .to(row.dtype);
    const at::Tensor expected = trust(fresh.to(at::kDouble), values[0].to(at::kDouble), foretold).flatten();
    const auto got = [&](const std::function<at::Tensor(const at::Tensor&)>& laid) {
      return forecast_trust(laid(fresh), laid(values[0]), laid(values[1]), laid(values[2]), weights);
    };
    EXPECT_LE(difference(got([](const at::Tensor& t) { return t; }), expected), row.tolerance);
    if (row.shape.size() == 4) {
      EXPECT_LE(
          difference(got([](const at::Tensor& t) { return t.contiguous(at::MemoryFormat::ChannelsLast); }), expected),
          row.tolerance);
    }
    EXPECT_LE(
        difference(got([](const at::Tensor& t) { return t.transpose(0, 1).contiguous().transpose(0, 1); }), expected),
        row.tolerance);
  }
}

TEST(FeatureSeries, DifferencesAreWeighedByHowWellTheyForetold) {
  // Row 0 goes on at half its pace, row 1 turns back.
  at::Tensor third = line(4).clone();
  third.select(0, 0).copy_(line(2).select(0, 0) + kSlope.select(0, 0));
  third.select(0, 1).copy_(line(2).select(0, 1) - kSlope.select(0, 1));
  const auto path = [&](double t) { return t < 4 ? line(t) : third; };
  const FeatureSeries series = seen(form(ValueForm::kTaylor1), path, {0, 2, 4});
  const at::Tensor share = trust(third, line(2), line(4));
  EXPECT_NEAR(share[0].item<double>(), 0.5, 1e-5);
  EXPECT_EQ(share[1].item<double>(), 0.0);
  const at::Tensor expected = third + share * (third - line(2)) * 0.5;
  EXPECT_LE(difference(at_evaluation(series, 5), expected), 1e-5);
}

TEST(FeatureSeries, SecondOrderIsWeighedAsAWhole) {
  const auto path = [](double t) { return t < 6 ? parabola(t) : parabola(4) + kBend; };
  const FeatureSeries series = seen(form(ValueForm::kTaylor2), path, {0, 2, 4, 6});
  const at::Tensor share = trust(path(6), path(4), parabola(6));
  const DifferenceWeights weights = newton_weights({6, 4, 2}, 7);
  const at::Tensor ahead = (path(6) - path(4)) * weights.near + (path(4) - path(2)) * weights.far;
  EXPECT_LE(difference(at_evaluation(series, 7), path(6) + share * ahead), 1e-5);
}

TEST(FeatureSeries, AConstantIsTrustedNotAtAllAndStaysOne) {
  const FeatureSeries series = seen(form(ValueForm::kTaylor1), [](double) { return kStart; }, {0, 2, 4});
  EXPECT_EQ(difference(at_evaluation(series, 5), kStart), 0.0);
}

TEST(FeatureSeries, AffineLearnsTheGainAndShiftOfEachChannel) {
  const at::Tensor gain = noise({1, 4, 1, 1}, 5) * 0.2 + 1.1;
  const at::Tensor shift = noise({1, 4, 1, 1}, 6);
  const auto path = [&](double t) { return t < 2 ? kStart : kStart * gain + shift; };
  const FeatureSeries series = seen(form(ValueForm::kAffine), path, {0, 2});
  EXPECT_TRUE(series.forecasts());
  const at::Tensor last = path(2);
  EXPECT_LE(difference(at_evaluation(series, 2), last), 1e-5);
  EXPECT_LE(difference(at_evaluation(series, 4), last * gain + shift), 1e-4);  // a whole step on
  EXPECT_LE(difference(at_evaluation(series, 3), last + (last * (gain - 1.0) + shift) * 0.5), 1e-4);
}

TEST(FeatureSeries, AffineOfTokensHasItsChannelsLast) {
  const at::Tensor tokens = noise({2, 9, 4}, 7);
  const at::Tensor gain = noise({1, 1, 4}, 8) * 0.2 + 1.1;
  const at::Tensor shift = noise({1, 1, 4}, 9);
  const auto path = [&](double t) { return t < 1 ? tokens : tokens * gain + shift; };
  const FeatureSeries series = seen(form(ValueForm::kAffine), path, {0, 1});
  EXPECT_LE(difference(at_evaluation(series, 2), path(1) * gain + shift), 1e-4);
}

TEST(FeatureSeries, AChannelWithoutVarianceIsShiftedAlone) {
  const auto path = [](double t) { return at::full({1, 2, 2, 2}, t); };
  const FeatureSeries series = seen(form(ValueForm::kAffine), path, {0, 1});
  EXPECT_LE(difference(at_evaluation(series, 2), path(2)), 1e-6);
}

TEST(FeatureSeries, MemoryFormatMattersNot) {
  for (const ValueForm value : {ValueForm::kTaylor1, ValueForm::kTaylor2, ValueForm::kAffine}) {
    const auto nhwc = [](double t) { return parabola(t).contiguous(at::MemoryFormat::ChannelsLast); };
    const FeatureSeries a = seen(form(value), parabola, {0, 2, 4, 5});
    const FeatureSeries b = seen(form(value), nhwc, {0, 2, 4, 5});
    EXPECT_LE(difference(at_evaluation(a, 6), at_evaluation(b, 6)), 1e-5);
    EXPECT_TRUE(at_evaluation(b, 6).is_contiguous(at::MemoryFormat::ChannelsLast));
  }
}

TEST(FeatureSeries, ForgetsWhereSigmaRoseOrTheShapeChanged) {
  FeatureSeries series(form(ValueForm::kTaylor1));
  push(series, line(0), {0, 5.0});
  push(series, line(1), {1, 4.0});
  push(series, line(2), {2, 4.0002});  // within the margin
  EXPECT_TRUE(series.forecasts());
  push(series, line(3), {3, 9.0});
  EXPECT_FALSE(series.forecasts());
  push(series, line(4), {4, 8.0});
  EXPECT_TRUE(series.forecasts());
  push(series, noise({2, 4, 3, 3}, 1), {5, 7.0});
  EXPECT_FALSE(series.forecasts());
}

TEST(FeatureSeries, OneTimeSeenTwiceKeepsTheLaterValue) {
  FeatureSeries series(form(ValueForm::kTaylor1));
  push(series, line(0), {0, 4.0});
  push(series, line(1), {1, 2.0});
  push(series, line(1) + 1.0, {1, 2.0});
  EXPECT_LE(difference(series.value({2, 1.0}, {0, 2}), (line(1) + 1.0) * 2.0 - line(0)), 1e-5);
}

TEST(FeatureSeries, StorageFormsKeepTheDtypeOfTheValue) {
  struct Row {
    Storage storage;
    double tolerance;
    int64_t bytes_per_number;
  };
  for (const Row& row : {Row{Storage::kCompute, 0.0, 4}, Row{Storage::kBf16, 2e-2, 2}, Row{Storage::kCpu, 0.0, 4},
                         Row{Storage::kCpuBf16, 2e-2, 2}}) {
    const FeatureSeries series = seen(form(ValueForm::kHold, row.storage), line, {0, 1});
    const at::Tensor value = at_evaluation(series, 2);
    EXPECT_EQ(value.scalar_type(), at::kFloat);
    EXPECT_LE(difference(value, line(1)), row.tolerance);
    std::set<const void*> counted;
    EXPECT_EQ(series.bytes(counted), kStart.numel() * row.bytes_per_number);
    EXPECT_EQ(series.bytes(counted), 0);  // what was counted is not counted again
  }
}

TEST(FeatureSeries, RegroupedRowsForecastAsBefore) {
  for (const ValueForm value : {ValueForm::kHold, ValueForm::kTaylor1, ValueForm::kTaylor2, ValueForm::kAffine}) {
    const auto turned = [](double t) { return parabola(t).flip({0}); };
    const FeatureSeries series = seen(form(value), parabola, {0, 2, 4, 5});
    const FeatureSeries joined = FeatureSeries::join({{&series, {1, 1}}, {&series, {0, 1}}});
    const FeatureSeries expected = seen(form(value), turned, {0, 2, 4, 5});
    EXPECT_LE(difference(at_evaluation(joined, 7), at_evaluation(expected, 7)), 1e-6);
    const FeatureSeries half = FeatureSeries::join({{&series, {1, 1}}});
    EXPECT_LE(difference(at_evaluation(half, 7), at_evaluation(expected, 7).narrow(0, 0, 1)), 1e-6);
    EXPECT_LE(difference(series.value({7, std::exp2(-7)}, {1, 1}), at_evaluation(half, 7)), 1e-6);
  }
}

TEST(FeatureSeries, RowsOfDifferentAgesKeepTheirNewestValues) {
  const FeatureSeries early = seen(form(ValueForm::kTaylor1), line, {0, 1});
  const FeatureSeries late = seen(form(ValueForm::kTaylor1), line, {0, 3});
  const FeatureSeries joined = FeatureSeries::join({{&early, {0, 1}}, {&late, {1, 1}}});
  EXPECT_FALSE(joined.forecasts());
  EXPECT_EQ(joined.newest().evaluation, 1);
  EXPECT_EQ(joined.newest().sigma, std::exp2(-3));
  EXPECT_EQ(difference(at_evaluation(joined, 4), at::cat({line(1).narrow(0, 0, 1), line(3).narrow(0, 1, 1)})), 0.0);
}

/// trust() of values that lie so that the CPU's own loop does not take them, and of those that it takes.
std::vector<float> trusts(const at::Tensor& fresh, const at::Tensor& newest, const at::Tensor& second) {
  std::vector<float> both;
  for (const bool own : {true, false}) {
    const auto laid = [&](const at::Tensor& t) { return own ? t : t.transpose(0, 1).contiguous().transpose(0, 1); };
    both.push_back(
        forecast_trust(laid(fresh), laid(newest), laid(second), {}, {.near = 1.0, .far = 0.0})[1].item<float>());
  }
  return both;
}

TEST(ForecastTrust, HoldsWhereSquaresLeaveTheDtype) {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kFloat}) {
    // Beyond 256 the square of an fp16 is none, below 2^-12 it is 0.
    for (const double size : {3e4, 300.0, 1.0, 1e-4}) {
      const auto value = [&](double t) { return at::full({2, 8, 4}, size * t).to(dtype); };
      for (const float trust : trusts(value(1.25), value(0.75), value(0.25))) {
        EXPECT_NEAR(trust, 1.0F, 0.02F) << size << " in " << dtype;
      }
    }
  }
}

TEST(ForecastTrust, WhatIsNoNumberIsNotTrusted) {
  const at::Tensor line_of = at::ones({2, 8, 4});
  for (const double value : {std::nan(""), static_cast<double>(INFINITY)}) {
    const at::Tensor broken = line_of.clone();
    broken[1][0][0] = value;
    for (const auto& values : {std::vector{broken, line_of, line_of * 0.5}, std::vector{line_of, broken, line_of * 0.5},
                               std::vector{line_of, line_of, broken}}) {
      for (const float trust : trusts(values[0], values[1], values[2])) {
        EXPECT_EQ(trust, 0.0F) << value;
      }
    }
  }
}

TEST(FeatureSeries, HeldValuesThatWereRoundedUpStayNumbersOfTheirDtype) {
  for (const Storage storage : {Storage::kBf16, Storage::kCpuBf16}) {
    FeatureSeries series(form(ValueForm::kHold, storage));
    push(series, at::full({1, 2}, 65440.0, at::kHalf), {0, 1.0}, storage);
    const at::Tensor held = series.value({1, 0.5}, {0, 1});
    EXPECT_EQ(held.scalar_type(), at::kHalf);
    EXPECT_EQ(held.max().item<double>(), 65504.0);
  }
}

TEST(FeatureSeries, ForecastsStayNumbersOfTheirDtype) {
  for (const ValueForm value : {ValueForm::kTaylor1, ValueForm::kTaylor2, ValueForm::kAffine}) {
    // 30000, 45000, 60000, and then what fp16 has no number for; and steps that are no normal numbers of it.
    for (const double scale : {1.0, -1.0, 1e-10}) {
      const auto path = [&](double t) {
        const at::Tensor spread = at::arange(2 * 4 * 3 * 5).view({2, 4, 3, 5}) * 0.01 + 1.0;
        return ((30'000.0 + 7'500.0 * t) * spread.reciprocal() * scale).to(at::kHalf);
      };
      const FeatureSeries series = seen(form(value), path, {0, 2, 4});
      const at::Tensor forecast = at_evaluation(series, 6);
      EXPECT_EQ(forecast.scalar_type(), at::kHalf);
      EXPECT_TRUE(forecast.isfinite().all().item<bool>());
      const at::Tensor ahead = path(4).to(at::kFloat) * (value == ValueForm::kAffine ? 4.0 / 3.0 : 1.25);
      const at::Tensor expected = ahead.clamp(-65504.0, 65504.0);
      EXPECT_LE(difference(forecast, expected), 0.05 * expected.abs().max().item<double>()) << scale;
    }
  }
}

}  // namespace
}  // namespace asdm
