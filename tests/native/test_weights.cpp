// Where weights come from and the matrix product that uses them; the host's hooks inside a transformer.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "native/layers/linear_kernel.h"
#include "native/layers/spatial_transformer.h"
#include "tests/native/error_of.h"
#include "tests/native/tensors.h"

namespace asdm {
namespace {

using testing::difference;
using testing::error_of;
using testing::expect_contains;
using testing::noise;
using testing::random_weights;

std::vector<LeafInfo> three_leaves() {
  ModuleTable table;
  Conv2d(table, "block.conv", 32, 64, 3);
  Linear(table, "block.to_q", 8, 16, false);
  GroupNorm(table, "block.norm", 64, 1e-5);
  return table.leaves();
}

TEST(WeightSource, MissingAndMisshapenWeightsNameTheLeaf) {
  struct Row {
    std::function<void(std::vector<LeafTensors>&)> spoil;
    const char* message;
  };
  const std::vector<Row> rows = {
      {[](auto& t) { t[0].weight.reset(); }, "block.conv.weight: expected a tensor of shape [64, 32, 3, 3], got none"},
      {[](auto& t) { t[0].weight = at::zeros({64, 32, 1, 1}); },
       "block.conv.weight: expected shape [64, 32, 3, 3], got shape [64, 32, 1, 1]"},
      {[](auto& t) { t[0].weight = at::zeros({64, 288}); }, "block.conv.weight: expected shape [64, 32, 3, 3]"},
      {[](auto& t) { t[0].bias.reset(); }, "block.conv.bias: expected a tensor, got none"},
      {[](auto& t) { t[0].bias = at::zeros({32}); }, "block.conv.bias: expected shape [64], got shape [32]"},
      {[](auto& t) { t[0].bias = at::zeros({64, 1}); }, "block.conv.bias: expected shape [64], got shape [64, 1]"},
      {[](auto& t) { t[1].bias = at::zeros({16}); }, "block.to_q.bias: expected none, got a tensor"},
      {[](auto& t) { t[1].weight = t[1].weight.t(); }, "block.to_q.weight: expected shape [16, 8], got shape [8, 16]"},
      {[](auto& t) { t[2].weight = at::zeros({32}); }, "block.norm.weight: expected shape [64], got shape [32]"},
      {[](auto& t) { t.pop_back(); }, "internal fault"},
  };
  const std::vector<LeafInfo> leaves = three_leaves();
  EXPECT_NO_THROW(ResidentWeights(leaves, random_weights(leaves, 1)));
  for (const Row& row : rows) {
    std::vector<LeafTensors> tensors = random_weights(leaves, 1);
    row.spoil(tensors);
    expect_contains(error_of([&] { return ResidentWeights(leaves, tensors).fetch(0, at::zeros({1})).weight.dim(); }),
                    row.message);
  }
}

TEST(WeightSource, ResidentWeightsAreCastWhereTheInputDiffersAndElseTheSameTensor) {
  const std::vector<LeafInfo> leaves = three_leaves();
  const std::vector<LeafTensors> tensors = random_weights(leaves, 1);
  ResidentWeights weights(leaves, tensors);
  EXPECT_TRUE(weights.fetch(0, at::zeros({1})).weight.is_same(tensors[0].weight));
  EXPECT_TRUE(weights.fetch(0, at::zeros({1})).bias.is_same(tensors[0].bias));
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const LeafTensors cast = weights.fetch(0, at::zeros({1}, dtype));
    EXPECT_TRUE(at::equal(cast.weight, tensors[0].weight.to(dtype)));
    EXPECT_TRUE(at::equal(cast.bias, tensors[0].bias.to(dtype)));
  }
  EXPECT_FALSE(weights.fetch(1, at::zeros({1}, at::kHalf)).bias.defined());
  EXPECT_EQ(tensors[0].weight.scalar_type(), at::kFloat);
}

TEST(Linear, EqualsAtLinear) {
  struct Row {
    std::vector<int64_t> shape;
    int64_t out;
    bool bias;
  };
  const std::vector<Row> rows = {{{1, 16}, 24, true},     {{2, 16}, 24, false}, {{2, 5, 16}, 24, true},
                                 {{2, 5, 16}, 1, false},  {{16}, 24, true},     {{2, 3, 5, 32}, 7, true},
                                 {{3, 129, 33}, 65, true}};
  for (const Row& row : rows) {
    const at::Tensor weight = noise({row.out, row.shape.back()}, 2);
    const at::Tensor bias = row.bias ? noise({row.out}, 3) : at::Tensor();
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
      const at::Tensor x = noise(row.shape, 1).to(dtype);
      const at::Tensor b = row.bias ? bias.to(dtype) : bias;
      const at::Tensor got = linear(x, weight.to(dtype), b);
      const at::Tensor expected = at::linear(x, weight.to(dtype), row.bias ? std::optional(b) : std::nullopt);
      EXPECT_EQ(got.scalar_type(), dtype);
      // Another order of the sum in fp32 (and one rounding of the bf16 result) is all that may differ.
      EXPECT_LE(difference(got, expected), dtype == at::kBFloat16 ? 0.0 : 1e-5) << x.sizes() << " " << dtype;
    }
  }
}

TEST(Linear, TakesViewsOfAnyStride) {
  const at::Tensor x = noise({4, 6, 5}, 1).transpose(1, 2).narrow(0, 1, 2);  // [2, 5, 6]
  const at::Tensor weight = noise({6, 8}, 2).t();
  const at::Tensor bias = noise({16}, 3).slice(0, 0, 16, 2);
  EXPECT_LE(difference(linear(x, weight, bias), at::linear(x, weight, bias)), 1e-5);
}

TEST(Linear, PassesGradientsToWhateverWantsThem) {
  for (const int wanted : {1, 2, 4, 3, 7}) {  // bits: x, weight, bias
    const auto make = [&](at::IntArrayRef shape, int bit) {
      return noise(shape, static_cast<uint64_t>(bit)).requires_grad_((wanted & bit) != 0);
    };
    const at::Tensor x = make({2, 5, 16}, 1);
    const at::Tensor weight = make({24, 16}, 2);
    const at::Tensor bias = make({24}, 4);
    const at::Tensor y = linear(x, weight, bias);
    ASSERT_TRUE(y.requires_grad()) << wanted;
    y.square().sum().backward();
    const at::Tensor slope = 2 * at::linear(x, weight, bias).detach();  // [2, 5, 24]
    if ((wanted & 1) != 0) {
      EXPECT_LE(difference(x.grad(), at::matmul(slope, weight)), 1e-3);
    }
    if ((wanted & 2) != 0) {
      EXPECT_LE(difference(weight.grad(), at::matmul(slope.flatten(0, 1).t(), x.flatten(0, 1))), 1e-3);
    }
    if ((wanted & 4) != 0) {
      EXPECT_LE(difference(bias.grad(), slope.sum({0, 1})), 1e-3);
    }
    const c10::NoGradGuard guard;
    EXPECT_LE(difference(linear(x, weight, bias), y), 1e-5);
  }
}

/// Writes down what it is asked, and acts where told to.
class RecordingHooks final : public TransformerHooks {
 public:
  std::vector<std::string> calls;
  at::Tensor replacement;  ///< for attn1
  at::Tensor override_result;
  double shift_output = 0.0;  ///< added to attn2's output
  double shift_middle = 0.0;
  bool swap_context = false;  ///< attn2 gets its context halved

  [[nodiscard]] bool hooks_transformers() const override { return true; }
  [[nodiscard]] bool overrides_attention() const override { return override_result.defined(); }
  void enter_transformer(int64_t index, at::IntArrayRef shape) override {
    calls.push_back("transformer " + std::to_string(index) + " of " + std::to_string(shape[2]) + "x" +
                    std::to_string(shape[3]));
  }
  void enter_transformer_block(const TransformerSite& site) override {
    calls.push_back("block " + std::to_string(site.transformer_index) + "." + std::to_string(site.block_index) + " " +
                    std::to_string(site.heads) + "x" + std::to_string(site.dim_head));
  }
  void attention_inputs(AttentionUnit unit, at::Tensor& query, at::Tensor& context, at::Tensor& value) override {
    EXPECT_TRUE(context.is_same(value));
    EXPECT_EQ(query.is_same(context), unit == AttentionUnit::kAttn1);
    if (swap_context && unit == AttentionUnit::kAttn2) {
      context = context * 0.5;
      value = value * 0.25;
    }
    calls.push_back("inputs" + name(unit));
  }
  at::Tensor replace_attention(AttentionUnit unit, const at::Tensor& q, const at::Tensor&, const at::Tensor&) override {
    EXPECT_EQ(q.dim(), 3);
    calls.push_back("replace" + name(unit));
    return unit == AttentionUnit::kAttn1 ? replacement : at::Tensor();
  }
  at::Tensor override_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t heads) override {
    calls.push_back("override " + std::to_string(heads));
    return override_result;
  }
  at::Tensor attention_output(AttentionUnit unit, at::Tensor output) override {
    calls.push_back("output" + name(unit));
    return unit == AttentionUnit::kAttn2 ? output + shift_output : output;
  }
  at::Tensor between_attentions(at::Tensor x) override {
    calls.push_back("middle");
    return x + shift_middle;
  }

 private:
  static std::string name(AttentionUnit unit) { return unit == AttentionUnit::kAttn1 ? "1" : "2"; }
};

const SpatialTransformer::Shape kShape{32, 2, 16, 24, true, {0, 1}};

TEST(TransformerHooks, ComeInTheHostsOrderAndChangeNothingByThemselves) {
  ModuleTable table;
  const SpatialTransformer transformer(table, "t", kShape, 5);
  ResidentWeights weights(table.leaves(), random_weights(table.leaves(), 1));
  const at::Tensor x = noise({1, 32, 3, 4}, 2);
  const at::Tensor context = noise({1, 7, 24}, 3);
  TransformerHooks none;
  Workspace workspace;
  LayerContext plain{weights, none, workspace};
  RecordingHooks hooks;
  LayerContext hooked{weights, hooks, workspace};
  EXPECT_EQ(difference(transformer(x, context, hooked), transformer(x, context, plain)), 0.0);
  const auto block = [](const std::string& number) {
    return std::vector<std::string>{
        "block 5." + number + " 2x16", "inputs1", "replace1", "output1", "middle", "inputs2", "replace2", "output2"};
  };
  std::vector<std::string> expected = {"transformer 5 of 3x4"};
  for (const char* number : {"0", "1"}) {
    const std::vector<std::string> calls = block(number);
    expected.insert(expected.end(), calls.begin(), calls.end());
  }
  EXPECT_EQ(hooks.calls, expected);
}

TEST(TransformerHooks, WhatTheyReturnIsUsed) {
  ModuleTable table;
  const CrossAttention attn1(table, "a", AttentionUnit::kAttn1, 24, 24, 2, 8);
  const CrossAttention attn2(table, "b", AttentionUnit::kAttn2, 24, 12, 2, 8);
  const std::vector<LeafTensors> tensors = random_weights(table.leaves(), 1);
  ResidentWeights weights(table.leaves(), tensors);
  const at::Tensor x = noise({2, 6, 24}, 2);
  const at::Tensor context = noise({2, 4, 12}, 3);
  const auto leaf = [&](const at::Tensor& input, size_t index) {
    const at::Tensor y = at::matmul(input, tensors[index].weight.t());
    return tensors[index].bias.defined() ? y + tensors[index].bias : y;
  };
  RecordingHooks hooks;
  Workspace workspace;
  LayerContext layer{weights, hooks, workspace};

  hooks.replacement = noise({2, 6, 16}, 4);  // goes through to_out, and nobody overrides what is replaced
  EXPECT_LE(difference(attn1(x, x, x, layer), x + leaf(hooks.replacement, 3)), 1e-5);
  EXPECT_EQ(hooks.calls, (std::vector<std::string>{"inputs1", "replace1", "output1"}));

  hooks.override_result = noise({2, 6, 16}, 5);
  hooks.shift_output = 2.0;
  EXPECT_LE(difference(attn2(x, context, x, layer), x + leaf(hooks.override_result, 7) + 2.0), 1e-5);

  hooks.override_result.reset();
  hooks.swap_context = true;
  const at::Tensor attended =
      scaled_dot_product(leaf(x, 4), leaf(context * 0.5, 5), leaf(context * 0.25, 6), 2, workspace);
  EXPECT_LE(difference(attn2(x, context, x, layer), x + leaf(attended, 7) + 2.0), 1e-5);
}

/// A host that was started with an attention of its own.
class ChosenAttention final : public TransformerHooks {
 public:
  at::Tensor result;

  [[nodiscard]] bool overrides_attention() const override { return true; }
  at::Tensor override_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t) override {
    return result;
  }
};

TEST(TransformerHooks, AnAttentionIsOverriddenWithoutAnyOtherHook) {
  ModuleTable table;
  const CrossAttention attn2(table, "a", AttentionUnit::kAttn2, 24, 12, 2, 8);
  const std::vector<LeafTensors> tensors = random_weights(table.leaves(), 1);
  ResidentWeights weights(table.leaves(), tensors);
  const at::Tensor x = noise({2, 6, 24}, 2);
  ChosenAttention hooks;
  hooks.result = noise({2, 6, 16}, 4);
  Workspace workspace;
  LayerContext layer{weights, hooks, workspace};
  const at::Tensor expected = x + at::matmul(hooks.result, tensors[3].weight.t()) + tensors[3].bias;
  EXPECT_LE(difference(attn2(x, noise({2, 4, 12}, 3), x, layer), expected), 1e-5);
}

TEST(TransformerHooks, TheMiddlePatchSitsBetweenTheAttentions) {
  ModuleTable table;
  const TransformerBlock block(table, "t", 32, 24, 2, 16);
  std::vector<LeafTensors> tensors = random_weights(table.leaves(), 1);
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (table.leaves()[i].kind == LeafKind::kLinear) {  // every unit adds nothing: the trunk alone is left
      tensors[i].weight.zero_();
      tensors[i].bias = tensors[i].bias.defined() ? at::zeros_like(tensors[i].bias) : tensors[i].bias;
    }
  }
  ResidentWeights weights(table.leaves(), tensors);
  RecordingHooks hooks;
  hooks.shift_middle = 3.0;
  Workspace workspace;
  LayerContext layer{weights, hooks, workspace};
  const at::Tensor x = noise({1, 5, 32}, 2);
  EXPECT_LE(difference(block(x, noise({1, 7, 24}, 3), layer, {}), x + 3.0), 1e-6);
}

}  // namespace
}  // namespace asdm
