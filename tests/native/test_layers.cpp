// Each layer against a plain restatement of its formula: matrix products, explicit softmax and means, no fused kernel.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "native/layers/res_block.h"
#include "native/layers/resample.h"
#include "native/layers/spatial_transformer.h"
#include "native/layers/time_embedding.h"
#include "tests/native/tensors.h"

namespace asdm {
namespace {

using testing::difference;
using testing::LendingWeights;
using testing::noise;
using testing::random_weights;

/// The layers' formulas over weights by name.
class Plain {
 public:
  Plain(const std::vector<LeafInfo>& leaves, const std::vector<LeafTensors>& tensors) {
    for (size_t i = 0; i < leaves.size(); ++i) {
      leaves_[leaves[i].name] = tensors[i];
    }
  }

  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    const LeafTensors& leaf = leaves_.at(name);
    const at::Tensor y = at::matmul(x, leaf.weight.flatten(1).t());
    return leaf.bias.defined() ? y + leaf.bias : y;
  }

  /// Convolution as a matrix product over unfolded patches.
  at::Tensor conv(const at::Tensor& x, const std::string& name, int64_t stride = 1) const {
    const LeafTensors& leaf = leaves_.at(name);
    const int64_t kernel = leaf.weight.size(2);
    const at::Tensor patches =
        at::im2col(x.contiguous(), {kernel, kernel}, {1, 1}, {kernel / 2, kernel / 2}, {stride, stride});
    const int64_t height = (x.size(2) + stride - 1) / stride;
    const int64_t width = (x.size(3) + stride - 1) / stride;
    const at::Tensor y = at::matmul(leaf.weight.flatten(1), patches) + leaf.bias.view({-1, 1});
    return y.view({x.size(0), -1, height, width});
  }

  at::Tensor group_norm(const at::Tensor& x, const std::string& name, double eps) const {
    const LeafTensors& leaf = leaves_.at(name);
    const at::Tensor groups = x.contiguous().view({x.size(0), 32, -1});
    const at::Tensor centred = groups - groups.mean({2}, true);
    const at::Tensor normed = centred / (centred.square().mean({2}, true) + eps).sqrt();
    return normed.view(x.sizes()) * leaf.weight.view({1, -1, 1, 1}) + leaf.bias.view({1, -1, 1, 1});
  }

  at::Tensor layer_norm(const at::Tensor& x, const std::string& name) const {
    const LeafTensors& leaf = leaves_.at(name);
    const at::Tensor centred = x - x.mean({-1}, true);
    return centred / (centred.square().mean({-1}, true) + 1e-5).sqrt() * leaf.weight + leaf.bias;
  }

  static at::Tensor silu(const at::Tensor& x) { return x * x.sigmoid(); }

  at::Tensor res(const at::Tensor& x, const at::Tensor& emb, const std::string& name) const {
    at::Tensor h = conv(silu(group_norm(x, name + ".in_layers.0", 1e-5)), name + ".in_layers.2");
    h = h + linear(silu(emb), name + ".emb_layers.1").unsqueeze(-1).unsqueeze(-1);
    h = conv(silu(group_norm(h, name + ".out_layers.0", 1e-5)), name + ".out_layers.3");
    return h + (leaves_.contains(name + ".skip_connection") ? conv(x, name + ".skip_connection") : x);
  }

  static at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
    std::vector<at::Tensor> parts;
    const int64_t width = q.size(2) / heads;
    for (int64_t head = 0; head < heads; ++head) {
      const auto part = [&](const at::Tensor& t) { return t.narrow(2, head * width, width); };
      const at::Tensor scores = at::matmul(part(q), part(k).transpose(1, 2)) / std::sqrt(static_cast<double>(width));
      const at::Tensor powers = at::exp(scores - scores.amax({-1}, true));
      parts.push_back(at::matmul(powers / powers.sum({-1}, true), part(v)));
    }
    return at::cat(parts, 2);
  }

  at::Tensor attention(const at::Tensor& x, const at::Tensor& context, const std::string& name, int64_t heads) const {
    return linear(
        attend(linear(x, name + ".to_q"), linear(context, name + ".to_k"), linear(context, name + ".to_v"), heads),
        name + ".to_out.0");
  }

  at::Tensor feed_forward(const at::Tensor& x, const std::string& name) const {
    const std::vector<at::Tensor> halves = linear(x, name + ".net.0.proj").chunk(2, -1);
    const at::Tensor gelu = halves[1] * 0.5 * (1.0 + at::erf(halves[1] / std::sqrt(2.0)));
    return linear(halves[0] * gelu, name + ".net.2");
  }

  at::Tensor transformer(const at::Tensor& x, const at::Tensor& context, const std::string& name,
                         const SpatialTransformer::Shape& shape) const {
    at::Tensor t = group_norm(x, name + ".norm", 1e-6).flatten(2).transpose(1, 2);
    t = linear(t, name + ".proj_in");
    for (const int64_t i : shape.block_numbers) {
      const std::string block = name + ".transformer_blocks." + std::to_string(i);
      const at::Tensor normed = layer_norm(t, block + ".norm1");
      t = t + attention(normed, normed, block + ".attn1", shape.heads);
      t = t + attention(layer_norm(t, block + ".norm2"), context, block + ".attn2", shape.heads);
      t = t + feed_forward(layer_norm(t, block + ".norm3"), block + ".ff");
    }
    return linear(t, name + ".proj_out").transpose(1, 2).reshape(x.sizes()) + x;
  }

 private:
  std::map<std::string, LeafTensors> leaves_;
};

using Inputs = std::vector<at::Tensor>;
using Forward = std::function<at::Tensor(const Inputs&, LayerContext&)>;
using Restated = std::function<at::Tensor(const Inputs&, const Plain&)>;

/// Holds the layer against its formula: fp32 and bf16, contiguous and channels_last, weights lent and taken back.
void expect_formula(const ModuleTable& table, const Inputs& inputs, const Forward& forward, const Restated& restated) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    // Both sides start from the same rounded numbers; the formula itself is worked out in fp32.
    std::vector<LeafTensors> tensors = random_weights(table.leaves(), 7);
    Inputs rounded;
    for (const at::Tensor& input : inputs) {
      rounded.push_back(input.to(dtype));
    }
    std::vector<LeafTensors> exact;
    for (LeafTensors& leaf : tensors) {
      leaf.weight = leaf.weight.to(dtype);
      leaf.bias = leaf.bias.defined() ? leaf.bias.to(dtype) : leaf.bias;
      exact.push_back({leaf.weight.to(at::kFloat), leaf.bias.defined() ? leaf.bias.to(at::kFloat) : leaf.bias, {}});
    }
    Inputs wide;
    for (const at::Tensor& input : rounded) {
      wide.push_back(input.to(at::kFloat));
    }
    const at::Tensor expected = restated(wide, Plain(table.leaves(), exact));
    const double size = std::max(1.0, expected.abs().max().item<double>());
    // fp32: sums of a few hundred products. bf16: about ten roundings of 2^-9 follow each other in the longest layer.
    const double tolerance = (dtype == at::kFloat ? 1e-5 : 10.0 / 512.0) * size;
    for (const at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      LendingWeights weights(table.leaves(), tensors, testing::Lending::kCopies);
      TransformerHooks hooks;
      Workspace workspace;
      LayerContext layer{weights, hooks, workspace};
      Inputs given = rounded;
      given[0] = given[0].dim() == 4 ? given[0].contiguous(format) : given[0];
      const at::Tensor got = forward(given, layer);
      EXPECT_EQ(got.scalar_type(), dtype);
      EXPECT_LE(difference(got, expected), tolerance) << dtype << " " << format;
      EXPECT_EQ(weights.fetches().size(), table.leaves().size());
      EXPECT_EQ(weights.most_lent(), 1);
      EXPECT_EQ(weights.lent(), 0);
    }
  }
}

const std::vector<std::pair<int64_t, int64_t>> kSizes = {{8, 8}, {5, 7}, {1, 3}};

TEST(Layers, ResBlock) {
  for (const int64_t out_channels : {64, 96}) {  // without and with skip_connection
    ModuleTable table;
    const ResBlock block(table, "r", 64, 48, out_channels);
    EXPECT_EQ(table.leaves().size(), out_channels == 64 ? 5U : 6U);
    EXPECT_EQ(block.in_channels(), 64);
    EXPECT_EQ(block.out_channels(), out_channels);
    for (const auto& [height, width] : kSizes) {
      expect_formula(
          table, {noise({2, 64, height, width}, 1), noise({2, 48}, 2)},
          [&](const Inputs& in, LayerContext& layer) { return block(in[0], in[1], layer); },
          [](const Inputs& in, const Plain& plain) { return plain.res(in[0], in[1], "r"); });
    }
  }
}

TEST(Layers, GroupNormTrainsWhereNothingBeforeItDoes) {
  ModuleTable table;
  const GroupNorm norm(table, "norm", 64, 1e-5);
  std::vector<LeafTensors> tensors = random_weights(table.leaves(), 3);
  tensors[0].weight.requires_grad_(true);
  LendingWeights weights(table.leaves(), tensors, testing::Lending::kSame);
  TransformerHooks hooks;
  Workspace workspace;
  LayerContext layer{weights, hooks, workspace};
  const at::Tensor x = noise({2, 64, 4, 4}, 1).contiguous(at::MemoryFormat::ChannelsLast);
  norm(x, layer).square().sum().backward();
  const at::Tensor plain = Plain(table.leaves(), tensors).group_norm(x, "norm", 1e-5);
  const at::Tensor normed = (plain - tensors[0].bias.view({1, -1, 1, 1})) / tensors[0].weight.view({1, -1, 1, 1});
  EXPECT_LT(difference(tensors[0].weight.grad(), (2 * plain * normed).sum({0, 2, 3})), 1e-3);
}

TEST(Layers, CrossAttentionWithItsOwnContextWidthAndTokens) {
  ModuleTable table;
  const CrossAttention attention(table, "a", AttentionUnit::kAttn2, 40, 24, 4, 8);
  for (const int64_t tokens : {1, 5, 77}) {
    expect_formula(
        table, {noise({2, 13, 40}, 3), noise({2, tokens, 24}, 4) * 2.0},
        [&](const Inputs& in, LayerContext& layer) { return attention(in[0], in[1], in[0] * 0.5, layer); },
        [](const Inputs& in, const Plain& plain) { return in[0] * 0.5 + plain.attention(in[0], in[1], "a", 4); });
  }
}

TEST(Layers, ScaledDotProductKeepsHeadsApart) {
  const at::Tensor q = noise({2, 6, 24}, 5) * 3.0;
  const at::Tensor k = noise({2, 9, 24}, 6);
  const at::Tensor v = noise({2, 9, 24}, 7);
  Workspace workspace;
  for (const int64_t heads : {1, 3, 24}) {
    EXPECT_LE(difference(scaled_dot_product(q, k, v, heads, workspace), Plain::attend(q, k, v, heads)), 1e-5) << heads;
  }
  EXPECT_GT(difference(scaled_dot_product(q, k, v, 1, workspace), scaled_dot_product(q, k, v, 3, workspace)), 0.01);
}

TEST(Layers, FeedForward) {
  ModuleTable table;
  const FeedForward feed_forward(table, "f", 24);
  expect_formula(
      table, {noise({2, 11, 24}, 8)},
      [&](const Inputs& in, LayerContext& layer) { return feed_forward(in[0], in[0] * 0.5, layer); },
      [](const Inputs& in, const Plain& plain) { return in[0] * 0.5 + plain.feed_forward(in[0], "f"); });
}

TEST(Layers, SpatialTransformer) {
  for (const bool use_linear : {false, true}) {
    for (const std::vector<int64_t>& blocks : {std::vector<int64_t>{0}, {0, 1}, {1, 4}}) {
      const SpatialTransformer::Shape shape{64, 4, 16, 24, use_linear, blocks};
      ModuleTable table;
      const SpatialTransformer transformer(table, "t", shape, 3);
      EXPECT_EQ(table.leaves()[1].shape.size(), use_linear ? 2U : 4U);
      for (const auto& [height, width] : kSizes) {
        expect_formula(
            table, {noise({2, 64, height, width}, 9), noise({2, 5, 24}, 10)},
            [&](const Inputs& in, LayerContext& layer) { return transformer(in[0], in[1], layer); },
            [&](const Inputs& in, const Plain& plain) { return plain.transformer(in[0], in[1], "t", shape); });
      }
    }
  }
}

TEST(Layers, ConvKeepsChannelsLast) {
  ModuleTable table;
  const Conv2d conv(table, "c", 32, 64, 3);
  ResidentWeights weights(table.leaves(), random_weights(table.leaves(), 1));
  TransformerHooks hooks;
  Workspace workspace;
  LayerContext layer{weights, hooks, workspace};
  const at::Tensor x = noise({2, 32, 5, 7}, 1);
  EXPECT_TRUE(conv(x.contiguous(at::MemoryFormat::ChannelsLast), layer).is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(Layers, DownsampleRoundsUp) {
  ModuleTable table;
  const Downsample down(table, "d", 32);
  EXPECT_EQ(table.leaves().at(0).name, "d.op");
  for (const auto& [height, width] : kSizes) {
    const at::Tensor x = noise({2, 32, height, width}, 11);
    expect_formula(
        table, {x}, [&](const Inputs& in, LayerContext& layer) { return down(in[0], layer); },
        [](const Inputs& in, const Plain& plain) { return plain.conv(in[0], "d.op", 2); });
  }
}

TEST(Layers, UpsampleToTheSizeOfTheSkip) {
  ModuleTable table;
  const Upsample up(table, "u", 32);
  struct Row {
    int64_t height;
    int64_t width;
    std::vector<int64_t> rows;  // source row of each target row: floor(i * 3 / height)
    std::vector<int64_t> columns;
  };
  const std::vector<Row> rows = {
      {6, 8, {0, 0, 1, 1, 2, 2}, {0, 0, 1, 1, 2, 2, 3, 3}},
      {5, 7, {0, 0, 1, 1, 2}, {0, 0, 1, 1, 2, 2, 3}},
      {3, 4, {0, 1, 2}, {0, 1, 2, 3}},
  };
  for (const Row& row : rows) {
    expect_formula(
        table, {noise({2, 32, 3, 4}, 12)},
        [&](const Inputs& in, LayerContext& layer) { return up(in[0], row.height, row.width, layer); },
        [&](const Inputs& in, const Plain& plain) {
          const at::Tensor taller = in[0].index_select(2, at::tensor(row.rows));
          return plain.conv(taller.index_select(3, at::tensor(row.columns)), "u.conv");
        });
  }
}

TEST(Layers, TimestepFeaturesAreCosinesThenSines) {
  const std::vector<float> steps = {0.0F, 1.0F, 20.5F, 999.0F};
  for (const int64_t dim : {320, 32, 33}) {
    const at::Tensor features = timestep_features(at::tensor(steps), dim);
    ASSERT_EQ(features.sizes(), (std::vector<int64_t>{4, dim}));
    ASSERT_EQ(features.scalar_type(), at::kFloat);
    const int64_t half = dim / 2;
    for (int64_t row = 0; row < 4; ++row) {
      const double step = steps[static_cast<size_t>(row)];
      // The angle is rounded to fp32 twice (rate, product), and its error is the error of the cosine.
      const double tolerance = 1e-6 + step * 2.5e-7;
      for (int64_t i = 0; i < half; ++i) {
        const double angle = step * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
        EXPECT_NEAR(features[row][i].item<double>(), std::cos(angle), tolerance) << step << " " << i;
        EXPECT_NEAR(features[row][half + i].item<double>(), std::sin(angle), tolerance) << step << " " << i;
      }
      if (dim % 2 != 0) {
        EXPECT_EQ(features[row][dim - 1].item<double>(), 0.0);
      }
    }
  }
  // Whole numbers and half precision are widened first: 999 is no bf16 number, 512 is.
  EXPECT_EQ(difference(timestep_features(at::tensor(std::vector<int64_t>{999}), 8),
                       timestep_features(at::tensor(std::vector<float>{999.0F}), 8)),
            0.0);
}

TEST(Layers, EmbeddingMlp) {
  ModuleTable table;
  const EmbeddingMlp mlp(table, "time_embed", 16, 40);
  expect_formula(
      table, {noise({3, 16}, 13)}, [&](const Inputs& in, LayerContext& layer) { return mlp(in[0], layer); },
      [](const Inputs& in, const Plain& plain) {
        return plain.linear(Plain::silu(plain.linear(in[0], "time_embed.0")), "time_embed.2");
      });
}

}  // namespace
}  // namespace asdm
