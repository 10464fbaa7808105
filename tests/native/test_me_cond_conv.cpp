// ME-CondConv against its formula, worked out with one convolution per expert.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "native/layers/me_cond_conv.h"
#include "native/layers/res_block.h"
#include "tests/native/tensors.h"

namespace asdm {
namespace {

using testing::difference;
using testing::noise;

constexpr int64_t kEmb = 24;

/// The layer with the weights of its experts and, last, of its router.
struct Mixed {
  explicit Mixed(const ExpertRouting& settings, int64_t in = 32, int64_t out = 48)
      : routing(settings), layer(table, "r", ResConvolution::kConv2, in, out, kEmb, settings) {
    tensors = testing::random_weights(table.leaves(), 3);
    tensors.back().weight = tensors.back().weight * 20.0;  // shares that differ from sample to sample
  }

  at::Tensor operator()(const at::Tensor& x, const at::Tensor& emb, const ConvolutionExtras& extras = {}) {
    ResidentWeights weights(table.leaves(), tensors);
    TransformerHooks hooks;
    LayerContext context{weights, hooks, workspace};
    return layer(x, emb, context, extras);
  }

  [[nodiscard]] size_t experts() const { return tensors.size() - 1; }

  /// [batch, experts], in fp32 or wider
  [[nodiscard]] at::Tensor shares(const at::Tensor& x, const at::Tensor& emb) const {
    at::Tensor read = routing.source == RoutingSource::kTime ? emb : x.mean({2, 3});
    if (routing.source == RoutingSource::kInputShared) {
      read = read.mean({0}, true).expand_as(read);
    }
    const at::Tensor values = (at::matmul(read, tensors.back().weight.t()) + tensors.back().bias) / routing.temperature;
    const at::Tensor powers = at::exp(values);
    return routing.form == RoutingForm::kSoftmax ? powers / powers.sum({1}, true) : powers / (powers + 1.0);
  }

  /// sum_e r_e (W_e * x + b_e), sample by sample.
  [[nodiscard]] at::Tensor formula(const at::Tensor& x, const at::Tensor& emb) const {
    const at::Tensor made = shares(x, emb);
    at::Tensor sum;
    for (size_t e = 0; e < experts(); ++e) {
      const at::Tensor one = at::conv2d(x, tensors[e].weight, tensors[e].bias, 1, 1);
      const at::Tensor part = one * made.select(1, static_cast<int64_t>(e)).view({-1, 1, 1, 1});
      sum = sum.defined() ? sum + part : part;
    }
    return sum;
  }

  ExpertRouting routing;
  ModuleTable table;
  MECondConv layer;
  std::vector<LeafTensors> tensors;
  Workspace workspace;
};

std::vector<ExpertRouting> all_settings() {
  std::vector<ExpertRouting> settings;
  for (const auto& [form_name, form] : kRoutingForms) {
    for (const auto& [source_name, source] : kRoutingSources) {
      settings.push_back({3, form, source, 1.5});
    }
  }
  return settings;
}

TEST(MECondConv, LeavesStandBesideTheKeptConvolution) {
  ModuleTable table;
  const ResBlock block(
      table, "input_blocks.1.0", 32, kEmb, 64,
      {.conv1 = ExpertRouting{.experts = 2, .source = RoutingSource::kTime}, .conv2 = ExpertRouting{.experts = 3}});
  std::vector<std::string> names;
  for (const LeafInfo& leaf : table.leaves()) {
    names.push_back(leaf.name.substr(std::string("input_blocks.1.0.").size()));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"in_layers.0", "in_layers.2", "conv1_experts.1", "conv1_routing",
                                             "emb_layers.1", "out_layers.0", "out_layers.3", "conv2_experts.1",
                                             "conv2_experts.2", "conv2_routing", "skip_connection"}));
  EXPECT_EQ(table.leaves()[2].shape, (std::vector<int64_t>{64, 32, 3, 3}));
  EXPECT_EQ(table.leaves()[3].shape, (std::vector<int64_t>{2, kEmb}));
  EXPECT_EQ(table.leaves()[9].shape, (std::vector<int64_t>{3, 64}));
}

TEST(MECondConv, EqualsTheSumOfSeparateConvolutions) {
  for (const ExpertRouting& routing : all_settings()) {
    Mixed mixed(routing);
    for (const auto& [batch, height, width] :
         std::vector<std::tuple<int64_t, int64_t, int64_t>>{{2, 16, 16}, {3, 7, 5}, {1, 12, 9}, {2, 1, 3}}) {
      const at::Tensor x = noise({batch, 32, height, width}, 1);
      const at::Tensor emb = noise({batch, kEmb}, 2);
      const at::Tensor expected = mixed.formula(x, emb);
      for (const at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
        EXPECT_LE(difference(mixed(x.contiguous(format), emb), expected), 2e-5)
            << batch << " " << height << " " << format;
      }
    }
  }
}

TEST(MECondConv, ExpertsAreKeptApartWhereTheHostLendsThemInOneBuffer) {
  Mixed mixed({.experts = 3});
  const at::Tensor x = noise({2, 32, 8, 8}, 1);
  const at::Tensor emb = noise({2, kEmb}, 2);
  testing::LendingWeights weights(mixed.table.leaves(), mixed.tensors, testing::Lending::kOneBuffer);
  TransformerHooks none;
  LayerContext layer{weights, none, mixed.workspace};
  EXPECT_LE(difference(mixed.layer(x, emb, layer), mixed.formula(x, emb)), 2e-5);
  EXPECT_EQ(weights.most_lent(), 1);
}

TEST(MECondConv, ExtrasRideAlong) {
  Mixed mixed({.experts = 3});
  const at::Tensor x = noise({2, 32, 10, 6}, 1).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor emb = noise({2, kEmb}, 2);
  const at::Tensor shift = noise({2, 48}, 3);
  const at::Tensor residual = noise({2, 48, 10, 6}, 4).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor expected = mixed.formula(x, emb) + shift.view({2, 48, 1, 1}) + residual;
  const at::Tensor got = mixed(x, emb, {.size = {}, .shift = shift, .residual = residual});
  EXPECT_LE(difference(got, expected), 2e-5);
  EXPECT_TRUE(got.is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(MECondConv, EachSampleHasItsOwnKernel) {
  Mixed mixed({.experts = 2});
  const at::Tensor x = noise({2, 32, 8, 8}, 1);
  const at::Tensor emb = noise({2, kEmb}, 2);
  const at::Tensor shares = mixed.shares(x, emb);
  ASSERT_GT(difference(shares[0], shares[1]), 0.1);
  const at::Tensor together = mixed(x, emb);
  for (int64_t sample = 0; sample < 2; ++sample) {
    const at::Tensor alone = mixed(x.narrow(0, sample, 1), emb.narrow(0, sample, 1));
    EXPECT_LE(difference(together.narrow(0, sample, 1), alone), 1e-5);
  }
  const at::Tensor swapped = mixed(x.flip({0}), emb.flip({0}));
  EXPECT_LE(difference(swapped.flip({0}), together), 1e-5);
}

TEST(MECondConv, HoldsBorrowedExpertsUntilTheyAreUsed) {
  Mixed mixed({.experts = 3});
  const at::Tensor x = noise({2, 32, 10, 6}, 1).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor emb = noise({2, kEmb}, 2);
  testing::LendingWeights weights(mixed.table.leaves(), mixed.tensors, testing::Lending::kCopies);
  TransformerHooks hooks;
  LayerContext context{weights, hooks, mixed.workspace};
  EXPECT_LE(difference(mixed.layer(x, emb, context), mixed.formula(x, emb)), 2e-5);
  EXPECT_EQ(weights.lent(), 0);
}

TEST(MECondConv, SharedRoutingGivesCondAndUncondOneKernel) {
  Mixed mixed({.experts = 2, .source = RoutingSource::kInputShared});
  const at::Tensor x = noise({2, 32, 8, 8}, 1);
  const at::Tensor emb = noise({2, kEmb}, 2);
  const at::Tensor shares = mixed.shares(x, emb);
  EXPECT_EQ(difference(shares[0], shares[1]), 0.0);
  EXPECT_GT(difference(mixed(x.narrow(0, 0, 1), emb.narrow(0, 0, 1)), mixed(x, emb).narrow(0, 0, 1)), 1e-3);
}

TEST(MECondConv, HalfPrecisionIsRoundedOnceMore) {
  Mixed mixed({.experts = 3});
  for (LeafTensors& leaf : mixed.tensors) {
    leaf = {leaf.weight.to(at::kBFloat16), leaf.bias.to(at::kBFloat16), nullptr};
  }
  const at::Tensor x = noise({2, 32, 9, 12}, 1).to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor emb = noise({2, kEmb}, 2).to(at::kBFloat16);
  const at::Tensor got = mixed(x, emb);
  EXPECT_EQ(got.scalar_type(), at::kBFloat16);
  for (LeafTensors& leaf : mixed.tensors) {
    leaf = {leaf.weight.to(at::kFloat), leaf.bias.to(at::kFloat), nullptr};
  }
  const at::Tensor expected = mixed.formula(x.to(at::kFloat), emb.to(at::kFloat));
  // The routing reads a mean that was rounded by 2^-9, and its weights are large; the mixed kernel and the result are
  // rounded besides.
  EXPECT_LE((got.to(at::kFloat) - expected).norm().item<double>(), 0.02 * expected.norm().item<double>());
}

TEST(MECondConv, StartsAsTheKeptConvolution) {
  for (const double temperature : {1.0, 4.0}) {
    Mixed mixed({3, RoutingForm::kSoftmax, RoutingSource::kInput, temperature}, 48, 48);
    mixed.tensors.back().weight.zero_();
    mixed.tensors.back().bias = at::tensor({4.35, -4.35, -4.35}, at::kFloat) * temperature;
    const at::Tensor x = noise({2, 48, 8, 8}, 1);
    const at::Tensor kept = at::conv2d(x, mixed.tensors[0].weight, mixed.tensors[0].bias, 1, 1);
    const at::Tensor got = mixed(x, noise({2, kEmb}, 2));
    EXPECT_LE((got - kept).norm().item<double>(), 1e-3 * kept.norm().item<double>());
    EXPECT_GT(difference(got, kept), 0.0);
  }
}

/// Holds the derivative of a loss by `value` against the difference quotient in a few random directions.
void expect_gradient(const std::function<at::Tensor()>& loss, at::Tensor& value, const std::string& name) {
  value.set_requires_grad(true);
  loss().backward();
  const at::Tensor gradient = value.grad().clone();
  value.mutable_grad() = at::Tensor();
  value.set_requires_grad(false);
  const c10::NoGradGuard no_grad;
  const at::Tensor start = value.clone();
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const at::Tensor direction = noise(value.sizes(), 100 + seed).to(at::kDouble);
    constexpr double kStep = 1e-5;
    value.copy_(start + direction * kStep);
    const auto above = loss().item<double>();
    value.copy_(start - direction * kStep);
    const auto below = loss().item<double>();
    value.copy_(start);
    const auto expected = (gradient * direction).sum().item<double>();
    EXPECT_NEAR((above - below) / (2.0 * kStep), expected, 1e-6 * std::max(1.0, std::abs(expected))) << name;
  }
}

TEST(MECondConv, GradientsEqualDifferenceQuotients) {
  for (const ExpertRouting& routing : all_settings()) {
    Mixed mixed(routing, 4, 6);
    for (LeafTensors& leaf : mixed.tensors) {
      leaf = {leaf.weight.to(at::kDouble), leaf.bias.to(at::kDouble), nullptr};
    }
    mixed.tensors.back().weight = mixed.tensors.back().weight * 0.05;
    at::Tensor x = noise({2, 4, 5, 3}, 1).to(at::kDouble);
    at::Tensor emb = noise({2, kEmb}, 2).to(at::kDouble);
    const at::Tensor weight = noise({2, 6, 5, 3}, 3).to(at::kDouble);
    const auto loss = [&] { return (mixed(x, emb).square() * weight).sum(); };
    for (size_t i = 0; i < mixed.tensors.size(); ++i) {
      const std::string& name = mixed.table.leaves()[i].name;
      expect_gradient(loss, mixed.tensors[i].weight, name + ".weight");
      expect_gradient(loss, mixed.tensors[i].bias, name + ".bias");
    }
    expect_gradient(loss, x, "x");
    if (routing.source == RoutingSource::kTime) {
      expect_gradient(loss, emb, "emb");
    }
  }
}

}  // namespace
}  // namespace asdm
