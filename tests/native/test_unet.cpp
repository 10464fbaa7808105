#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "native/base/log.h"
#include "native/unet/unet.h"
#include "tests/native/error_of.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::difference;
using testing::error_of;
using testing::noise;
using testing::TinyUNet;

using Names = std::vector<std::string>;

TEST(UNet, TheResultHasTheShapeAndDtypeOfTheInput) {
  for (const char* preset : {"sd15", "sd21", "sdxl"}) {
    TinyUNet tiny(preset);
    for (const auto& [height, width] : std::vector<std::pair<int64_t, int64_t>>{{8, 8}, {7, 9}, {1, 1}}) {
      ForwardInputs inputs = tiny.inputs(height, width, 2);
      const at::Tensor wide = tiny.full(inputs);
      EXPECT_EQ(wide.sizes(), inputs.x.sizes()) << preset;
      EXPECT_TRUE(wide.is_contiguous());
      EXPECT_TRUE(at::isfinite(wide).all().item<bool>());
      inputs.x = inputs.x.to(at::kBFloat16);
      inputs.context = inputs.context.to(at::kBFloat16);
      inputs.y = inputs.y.defined() ? inputs.y.to(at::kBFloat16) : inputs.y;
      const at::Tensor narrow = tiny.full(inputs);
      EXPECT_EQ(narrow.scalar_type(), at::kBFloat16);
      // bf16 has 8 bits: errors of 2^-9 of the size of some sixty sums in a row, growing with their square root.
      EXPECT_LE((narrow.to(at::kFloat) - wide).norm().item<double>(), 0.05 * wide.norm().item<double>()) << preset;
    }
    EXPECT_EQ(tiny.weights.lent(), 0);
    EXPECT_EQ(tiny.weights.most_lent(), 1);
  }
}

TEST(UNet, RowsOfABatchDoNotMix) {
  TinyUNet tiny("sdxl");
  const ForwardInputs both = tiny.inputs(7, 9, 2);
  const at::Tensor together = tiny.full(both);
  for (int64_t row = 0; row < 2; ++row) {
    const auto one = [&](const at::Tensor& t) { return t.narrow(0, row, 1); };
    const at::Tensor alone = tiny.full({one(both.x), one(both.timesteps), one(both.context), one(both.y), {}});
    EXPECT_LE(difference(alone, one(together)), 1e-4);
  }
}

TEST(UNet, EveryInputMatters) {
  TinyUNet tiny("sdxl");
  const ForwardInputs inputs = tiny.inputs();
  const at::Tensor result = tiny.full(inputs);
  EXPECT_EQ(difference(tiny.full(inputs), result), 0.0);
  for (const auto field : {&ForwardInputs::x, &ForwardInputs::timesteps, &ForwardInputs::context, &ForwardInputs::y}) {
    ForwardInputs other = inputs;
    other.*field = other.*field * 0.5;
    EXPECT_GT(difference(tiny.full(other), result), 1e-3);
  }
}

TEST(UNet, RefusesInputsThatDoNotFit) {
  struct Row {
    const char* preset;
    std::function<void(ForwardInputs&)> spoil;
    const char* message;
  };
  const std::vector<Row> rows = {
      {"sd15", [](auto& in) { in.x = at::zeros({2, 9, 8, 8}); },
       "UNet input x: expected [batch, 4, height, width], got shape [2, 9, 8, 8] of Float"},
      {"sd15", [](auto& in) { in.x = at::zeros({2, 4, 8}); },
       "UNet input x: expected [batch, 4, height, width], got shape [2, 4, 8] of Float"},
      {"sd15", [](auto& in) { in.x.reset(); }, "UNet input x: expected [batch, 4, height, width], got none"},
      {"sd15", [](auto& in) { in.timesteps = at::zeros({1}); },
       "UNet input timesteps: expected [2], got shape [1] of Float"},
      {"sd15", [](auto& in) { in.timesteps.reset(); }, "UNet input timesteps: expected [2], got none"},
      {"sd15", [](auto& in) { in.context = at::zeros({2, 77, 1024}); },
       "UNet input context: expected [2, tokens, 768] (text features of a matching text encoder), got shape [2, 77, "
       "1024] of Float"},
      {"sd15", [](auto& in) { in.context = at::zeros({1, 77, 768}); },
       "UNet input context: expected [2, tokens, 768] (text features of a matching text encoder), got shape [1, 77, "
       "768] of Float"},
      {"sd15", [](auto& in) { in.context.reset(); },
       "UNet input context: expected [2, tokens, 768] (text features of a matching text encoder), got none"},
      {"sd15", [](auto& in) { in.y = at::zeros({2, 2816}); },
       "UNet input y: expected none (this UNet takes no vector conditioning), got shape [2, 2816] of Float"},
      {"sdxl", [](auto& in) { in.y.reset(); }, "UNet input y: expected [2, 2816], got none"},
      {"sdxl", [](auto& in) { in.y = at::zeros({2, 2560}, at::kHalf); },
       "UNet input y: expected [2, 2816], got shape [2, 2560] of Half"},
      {"sdxl", [](auto& in) { in.y = at::zeros({1, 2816}); }, "UNet input y: expected [2, 2816], got shape [1, 2816]"},
  };
  for (const Row& row : rows) {
    TinyUNet tiny(row.preset);
    ForwardInputs inputs = tiny.inputs(8, 8, 2);
    row.spoil(inputs);
    testing::expect_contains(error_of([&] { return tiny.full(inputs); }), row.message);
    EXPECT_TRUE(tiny.weights.fetches().empty()) << "something ran although " << row.message;
  }
}

/// Follows the walk; may act in one block.
class WalkingHooks final : public Hooks {
 public:
  Names calls;
  int64_t polls = 0;
  int64_t throw_at_poll = -1;

  void poll() override {
    if (polls++ == throw_at_poll) {
      throw std::runtime_error("interrupted");
    }
  }
  [[nodiscard]] bool follows_blocks() const override { return true; }
  [[nodiscard]] bool hooks_input_blocks() const override { return true; }
  [[nodiscard]] bool hooks_output_blocks() const override { return true; }
  void enter_block(BlockKind kind, int64_t number) override {
    calls.push_back(std::string(to_string(kind)) + " " + std::to_string(number));
  }
  at::Tensor embedding(at::Tensor emb) override {
    calls.emplace_back("emb " + std::to_string(emb.size(1)));
    return emb;
  }
  at::Tensor input_block(at::Tensor h) override { return note("patch", std::move(h)); }
  at::Tensor input_block_after_skip(at::Tensor h) override { return note("after", std::move(h)); }
  std::pair<at::Tensor, at::Tensor> output_block(at::Tensor h, at::Tensor skip) override {
    note("join", h);
    return {std::move(h), note("skip", std::move(skip))};
  }

 private:
  at::Tensor note(const std::string& what, at::Tensor h) {
    EXPECT_TRUE(h.is_contiguous()) << what;
    calls.push_back(what + " " + std::to_string(h.size(1)));
    return h;
  }
};

TEST(UNet, HooksAreCalledInTheHostsOrder) {
  TinyUNet tiny;
  WalkingHooks hooks;
  const ForwardInputs inputs = tiny.inputs();
  // The way through contiguous memory may choose other kernels.
  EXPECT_LE(difference(tiny.full(inputs, hooks), tiny.full(inputs)), 1e-5);
  Names expected = {"emb 128"};
  const std::vector<int64_t> widths = {32, 32, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128};
  for (size_t i = 0; i < 12; ++i) {
    const std::string width = std::to_string(widths[i]);
    expected.insert(expected.end(), {"input " + std::to_string(i), "patch " + width, "after " + width});
  }
  expected.emplace_back("middle 0");
  const std::vector<int64_t> trunks = {128, 128, 128, 128, 128, 128, 128, 64, 64, 64, 32, 32};
  for (size_t j = 0; j < 12; ++j) {
    expected.insert(expected.end(), {"output " + std::to_string(j), "join " + std::to_string(trunks[j]),
                                     "skip " + std::to_string(widths[11 - j])});
  }
  EXPECT_EQ(hooks.calls, expected);
  EXPECT_EQ(hooks.polls, 45);  // after each layer: 1 convolution, 22 res, 16 transformers, 3 down, 3 up
}

TEST(UNet, AThrowingHookLeavesEverythingUsable) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  const at::Tensor expected = tiny.full(inputs);
  asdm::Run run = testing::inheriting_run(tiny, "out.8");
  Hooks none;
  tiny.evaluate(run, 10, inputs, none);
  const int64_t calls = run.record().calls;
  for (const int64_t poll : {0, 3}) {
    WalkingHooks hooks;
    hooks.throw_at_poll = poll;
    EXPECT_THROW(tiny.evaluate(run, 9, inputs, hooks), std::runtime_error);
    hooks.polls = 0;
    EXPECT_THROW(tiny.full(inputs, hooks), std::runtime_error);
    EXPECT_EQ(tiny.weights.lent(), 0);
  }
  EXPECT_EQ(run.record().calls, calls) << "a call that broke off was booked";
  EXPECT_EQ(difference(tiny.evaluate(run, 8, inputs, none), expected), 0.0);
  EXPECT_EQ(difference(tiny.full(inputs), expected), 0.0);
}

/// The one non-zero entry of `values`, or -1.
int64_t first_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (difference(a[i], b[i]) > 0.0) {
      return static_cast<int64_t>(i);
    }
  }
  return -1;
}

TEST(UNet, ControlResidualsAreTakenFromTheEnd) {
  TinyUNet tiny;
  const ForwardInputs plain = tiny.inputs();
  const std::vector<at::Tensor> values = tiny.block_values(plain);
  const at::Tensor one = at::full({1, 1, 1, 1}, 0.5);
  for (const size_t length : {3U, 14U}) {
    for (size_t from_end = 0; from_end < length; ++from_end) {
      ForwardInputs inputs = plain;
      inputs.control.input.resize(length);
      inputs.control.input[length - 1 - from_end] = one;
      const std::vector<at::Tensor> changed = tiny.block_values(inputs);
      const int64_t node = from_end < 12 ? static_cast<int64_t>(from_end) : -1;
      ASSERT_EQ(first_difference(changed, values), node) << length << " " << from_end;
      if (node >= 0) {
        EXPECT_LE(difference(changed[from_end], values[from_end] + one), 1e-6);
      }
    }
  }
  ForwardInputs inputs = plain;
  inputs.control.middle = {one * 7, one};
  const std::vector<at::Tensor> changed = tiny.block_values(inputs);
  EXPECT_EQ(first_difference(changed, values), tiny.unet.topology().middle());
  EXPECT_LE(difference(changed[12], values[12] + one), 1e-6);
  for (const size_t from_end : {0U, 5U, 11U}) {
    inputs.control = {};
    inputs.control.output.resize(12);
    inputs.control.output[11 - from_end] = one;
    EXPECT_EQ(first_difference(tiny.block_values(inputs), values),
              tiny.unet.topology().output(static_cast<int64_t>(from_end)));
  }
}

TEST(UNet, AControlResidualOfTheOutputActsOnTheSkip) {
  TinyUNet tiny;
  ForwardInputs inputs = tiny.inputs();
  inputs.control.output = {at::full({1, 1, 1, 1}, 0.5)};  // one: for out.0
  struct SkipHooks final : Hooks {
    std::vector<std::pair<at::Tensor, at::Tensor>> seen;
    [[nodiscard]] bool hooks_output_blocks() const override { return true; }
    std::pair<at::Tensor, at::Tensor> output_block(at::Tensor h, at::Tensor skip) override {
      seen.emplace_back(h, skip);
      return {h, skip};
    }
  };
  SkipHooks with;
  tiny.full(inputs, with);
  inputs.control = {};
  SkipHooks without;
  tiny.full(inputs, without);
  EXPECT_EQ(difference(with.seen[0].first, without.seen[0].first), 0.0);
  EXPECT_LE(difference(with.seen[0].second, without.seen[0].second + 0.5), 1e-6);
  EXPECT_EQ(difference(with.seen[1].second, without.seen[1].second), 0.0);
}

TEST(UNet, AControlResidualThatDoesNotFitIsLeftOutAndSaidOnce) {
  TinyUNet tiny;
  ForwardInputs inputs = tiny.inputs();
  const at::Tensor expected = tiny.full(inputs);
  Names messages;
  log::set_sink([&](log::Level level, std::string_view message) {
    if (level == log::Level::kWarning) {
      messages.emplace_back(message);
    }
  });
  inputs.control.input = {at::ones({1, 32, 3, 3})};
  const at::Tensor got = tiny.full(inputs);
  EXPECT_EQ(difference(tiny.full(inputs), got), 0.0);  // and said no more
  log::set_sink({});
  EXPECT_EQ(difference(got, expected), 0.0);
  EXPECT_EQ(messages, (Names{"control residual [1, 32, 3, 3] does not fit [1, 32, 8, 8] and is left out, as in the "
                             "host"}));
}

TEST(UNet, GradientAndInferenceModesAgree) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs(7, 9);
  const at::Tensor expected = tiny.full(inputs);
  {
    const c10::InferenceMode guard;
    EXPECT_EQ(difference(tiny.full(inputs), expected), 0.0);
    const ForwardInputs made_inside = tiny.inputs(7, 9);
    EXPECT_EQ(difference(tiny.full(made_inside), expected), 0.0);
  }
  {
    const c10::NoGradGuard guard;
    EXPECT_EQ(difference(tiny.full(inputs), expected), 0.0);
  }
  ForwardInputs learning = inputs;
  learning.x = inputs.x.clone().requires_grad_(true);
  const at::Tensor result = tiny.full(learning);
  ASSERT_TRUE(result.requires_grad());
  EXPECT_LE(difference(result.detach(), expected), 1e-4);
}

TEST(UNet, ServesTwoThreadsAtOnce) {
  TinyUNet tiny;
  std::vector<std::vector<double>> errors(2);
  std::vector<at::Tensor> expected;
  for (uint64_t i = 0; i < 2; ++i) {
    expected.push_back(tiny.full(tiny.inputs(7, 9, 1, 10 * i)));
  }
  const auto work = [&](size_t index) {
    testing::LendingWeights weights(tiny.unet.leaves(), tiny.tensors, testing::Lending::kSame);
    asdm::Run run = testing::inheriting_run(tiny, "out.8");
    const ForwardInputs inputs = tiny.inputs(7, 9, 1, 10 * index);
    Hooks hooks;
    for (int i = 0; i < 6; ++i) {
      const c10::InferenceMode guard;
      run.begin_evaluation(10 - i);
      CallFeatures features = run.begin_call({"cond"});
      const at::Tensor result = tiny.unet.forward(inputs, weights, hooks, features);
      run.end_call(features);
      errors[index].push_back((result - expected[index]).abs().max().item<double>());
    }
    errors[index].push_back(run.record().inherited == 5 ? 0.0 : 1.0);
  };
  std::thread first(work, 0);
  std::thread second(work, 1);
  first.join();
  second.join();
  EXPECT_GT(difference(expected[0], expected[1]), 1e-3);
  for (const std::vector<double>& each : errors) {
    ASSERT_EQ(each.size(), 7U);
    for (const double error : each) {
      EXPECT_LE(error, 1e-4);
    }
  }
}

}  // namespace
}  // namespace asdm
