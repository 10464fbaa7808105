#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/budget_controller.h"
#include "native/inheritance/controller.h"
#include "native/inheritance/easy_cache.h"
#include "native/inheritance/relative_change.h"
#include "tests/native/tensors.h"

namespace asdm {
namespace {

using testing::noise;

TimeStepPattern guards(int64_t total, int64_t first = 0, int64_t last = 0) {
  TimeStepSettings settings;
  settings.mode = TimeStepMode::kAdaptive;
  settings.first_full = first;
  settings.last_full = last;
  std::vector<double> sigmas(static_cast<size_t>(total));
  std::iota(sigmas.rbegin(), sigmas.rend(), 1.0);
  return {settings, sigmas};
}

/// 'F' or '.' for each evaluation; changes[i] is that of the input before evaluation i, negative = not known.
std::string placed(BudgetController& controller, const std::vector<double>& changes) {
  std::string text;
  for (size_t i = 0; i < changes.size(); ++i) {
    const std::optional<double> change = changes[i] < 0.0 ? std::nullopt : std::optional(changes[i]);
    text += controller.inherits(static_cast<int64_t>(i), change) ? '.' : 'F';
  }
  return text;
}

std::string placed(int64_t budget, const std::vector<double>& changes, int64_t first = 0, int64_t last = 0) {
  const auto total = static_cast<int64_t>(changes.size());
  BudgetController controller(guards(total, first, last), total, budget);
  return placed(controller, changes);
}

TEST(BudgetController, SpreadsAnEvenPathEvenly) {
  EXPECT_EQ(placed(5, std::vector<double>(10, 0.1)), "F.F.F.F.F.");
  EXPECT_EQ(placed(1, std::vector<double>(6, 0.1)), "F.....");
  EXPECT_EQ(placed(6, std::vector<double>(6, 0.1)), "FFFFFF");
  EXPECT_EQ(placed(4, std::vector<double>(12, 0.1)), "F..F..F..F..");
  EXPECT_EQ(placed(3, std::vector<double>(6, 0.0)), "FFF...");  // nothing moves: any place is as good
}

TEST(BudgetController, SpendsWhereTheInputMoves) {
  const std::vector<double> late = {-1, .01, .01, .01, .01, .01, .01, .01, .3, .3, .3, .3};
  const std::string text = placed(5, late);
  EXPECT_EQ(std::count(text.begin(), text.end(), 'F'), 5);
  EXPECT_GE(std::count(text.begin() + 8, text.end(), 'F'), 2) << text;
}

TEST(BudgetController, GuardsCountAndAreKept) {
  const std::vector<double> even(12, 0.1);
  const std::string text = placed(6, even, 2, 2);
  EXPECT_EQ(std::count(text.begin(), text.end(), 'F'), 6) << text;
  EXPECT_EQ(text.substr(0, 2), "FF");
  EXPECT_EQ(text.substr(10), "FF");
  EXPECT_EQ(placed(1, even, 2, 2), "FF........FF");  // more guards than budget: the guards are kept
}

TEST(BudgetController, IsExactWhateverThePath) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const auto total = static_cast<int64_t>(1 + random() % 60);
    const auto budget = static_cast<int64_t>(1 + random() % static_cast<uint64_t>(total));
    const auto first = static_cast<int64_t>(random() % 3);
    const auto last = static_cast<int64_t>(random() % 3);
    std::vector<double> changes(static_cast<size_t>(total));
    for (double& change : changes) {
      const double drawn = std::exp(-8.0 * static_cast<double>(random() % 1000) / 1000.0);
      change = random() % 12 == 0 ? -1.0 : random() % 7 == 0 ? 0.0 : drawn;
    }
    const std::string text = placed(budget, changes, first, last);
    const std::string guarded = placed(1, std::vector<double>(static_cast<size_t>(total), 0.1), first, last);
    const auto expected = std::max(budget, std::count(guarded.begin(), guarded.end(), 'F'));
    ASSERT_EQ(std::count(text.begin(), text.end(), 'F'), expected) << text << " round " << round;
  }
}

TEST(BudgetController, TheBudgetIsThereAnewForEvaluationsPastTheExpectedOnes) {
  BudgetController controller(guards(10), 10, 4);
  const std::string text = placed(controller, std::vector<double>(39, 0.1));  // heun makes 19
  for (const int64_t from : {0, 10, 20}) {
    EXPECT_EQ(std::count(text.begin() + from, text.begin() + from + 10, 'F'), 4) << text;
  }
  EXPECT_GE(std::count(text.begin() + 30, text.end(), 'F'), 3) << text;
  EXPECT_EQ(text.find("......"), std::string::npos) << text;
}

TEST(BudgetController, MeasuresHowFarTheInputMoved) {
  BudgetController controller(guards(8), 8, 3);
  const at::Tensor x = noise({1, 4, 4, 4}, 1);
  const at::Tensor next = noise({1, 4, 4, 4}, 2);
  EXPECT_FALSE(controller.measure(x).defined());
  EXPECT_TRUE(at::equal(controller.measure(next), relative_change(next, x)));
  EXPECT_FALSE(controller.measure(noise({1, 4, 2, 4}, 3)).defined());
}

TEST(RelativeChange, IsOneNumber) {
  const auto change = [](const at::Tensor& now, const at::Tensor& before) {
    return relative_change(now, before).item<double>();
  };
  const at::Tensor x = noise({2, 3, 4, 4}, 1);
  EXPECT_DOUBLE_EQ(change(x, x), 0.0);
  EXPECT_NEAR(change(x * 1.5, x), 0.5, 1e-6);
  EXPECT_NEAR(change(-x, x), 2.0, 1e-6);
  EXPECT_EQ(change(x * 0.0, x * 0.0), 0.0);
  EXPECT_TRUE(std::isinf(change(x, x * 0.0)));
  EXPECT_NEAR(change((x * 1.5).to(at::kBFloat16), x.to(at::kBFloat16)), 0.5, 1e-2);
}

std::unique_ptr<Controller> controller(TimeStepMode mode, double threshold, int64_t first = 0, int64_t last = 0) {
  TimeStepSettings settings;
  settings.mode = mode;
  settings.threshold = threshold;
  return make_controller(settings, guards(20, first, last), 20);
}

/// Whether evaluation `index`, at input `x`, inherits.
bool inherits_at(Controller& controller, int64_t index, const at::Tensor& x) {
  return controller.inherits(index, testing::number(controller.measure(x)));
}

TEST(ChangeController, IsFullWhereTheInputHasMovedByTheThreshold) {
  const auto by_change = controller(TimeStepMode::kAdaptive, 0.25);
  std::string text;
  for (int64_t i = 0; i < 10; ++i) {
    text += inherits_at(*by_change, i, at::full({1, 1, 2, 2}, std::pow(1.1, i))) ? '.' : 'F';
  }
  EXPECT_EQ(text, "F..F..F..F");
  // Another shape or none says nothing, and is full.
  EXPECT_FALSE(inherits_at(*by_change, 10, at::ones({1, 1, 4, 4})));
  EXPECT_TRUE(inherits_at(*by_change, 11, at::ones({1, 1, 4, 4})));
  EXPECT_FALSE(by_change->inherits(12, std::nullopt));
}

TEST(ChangeController, KeepsItsGuards) {
  const auto guarded = controller(TimeStepMode::kAdaptive, 100.0, 3, 2);
  std::string text;
  for (int64_t i = 0; i < 20; ++i) {
    text += inherits_at(*guarded, i, at::ones({1, 1, 2, 2})) ? '.' : 'F';
  }
  EXPECT_EQ(text, "FFF...............FF");
}

/// The rule as published, in plain numbers: E += k |x - x_p| / |y_p|, k from the last two computed.
class PlainEasyCache {
 public:
  explicit PlainEasyCache(double threshold) : threshold_(threshold) {}

  bool inherits(double x) {
    if (computed_ < 2) {
      return false;
    }
    error_ += rate_ * std::abs(x - x_) / std::abs(y_);
    if (error_ < threshold_) {
      return true;
    }
    error_ = 0.0;
    return false;
  }
  void computed(double x, double y) {
    rate_ = computed_ > 0 ? std::abs(y - y_) / std::abs(x - x_) : 0.0;
    x_ = x;
    y_ = y;
    ++computed_;
  }

 private:
  double threshold_;
  double x_ = 0.0;
  double y_ = 0.0;
  double rate_ = 0.0;
  double error_ = 0.0;
  int computed_ = 0;
};

TEST(EasyCache, FollowsThePublishedRule) {
  for (const double threshold : {0.02, 0.1, 0.3, 1.0}) {
    const auto easy = controller(TimeStepMode::kEasyCache, threshold);
    PlainEasyCache plain(threshold);
    std::string text;
    for (int64_t i = 0; i < 20; ++i) {
      const double x = 5.0 - 0.2 * static_cast<double>(i) + 0.03 * static_cast<double>(i % 3);
      const double y = 1.0 + std::sin(x);
      const auto tensor = [](double value) { return at::full({1, 4, 3, 3}, value); };
      const bool inherits = inherits_at(*easy, i, tensor(x));
      ASSERT_EQ(inherits, plain.inherits(x)) << threshold << " at " << i;
      if (!inherits) {
        easy->computed(tensor(y));
        plain.computed(x, y);
      }
      text += inherits ? '.' : 'F';
    }
    EXPECT_EQ(text.substr(0, 2), "FF");
  }
}

TEST(MakeController, PlacedModesHaveNone) {
  EXPECT_EQ(controller(TimeStepMode::kUniform, 0.1), nullptr);
  EXPECT_EQ(controller(TimeStepMode::kLogSnr, 0.1), nullptr);
}

TEST(BudgetController, SpendsItsBudgetWhateverIsMeasured) {
  for (const double change : {std::nan(""), static_cast<double>(INFINITY)}) {
    std::vector<double> changes(12, 0.1);
    changes[3] = change;
    const std::string text = placed(4, changes);
    EXPECT_EQ(std::count(text.begin(), text.end(), 'F'), 4) << text;
    EXPECT_NE(text.substr(8).find('F'), std::string::npos) << text;
    EXPECT_NE(text.substr(1, 7).find('F'), std::string::npos) << text;
  }
}

TEST(RelativeChange, IsThatOfNumbersBeyondTheDtype) {
  const at::Tensor x = at::full({1, 4, 8, 8}, 60'000.0).to(at::kHalf);
  EXPECT_NEAR(relative_change(-x, x).item<double>(), 2.0, 1e-3);
  const at::Tensor broken = x.clone();
  broken[0][0][0][0] = std::nan("");
  EXPECT_TRUE(std::isinf(relative_change(broken, x).item<double>()));  // the UNet is asked
  EXPECT_TRUE(std::isinf(relative_change(x, broken).item<double>()));
}

}  // namespace
}  // namespace asdm
