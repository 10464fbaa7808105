// SpatialTransformer and its transformer blocks with their units attn1, attn2 and ff.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "native/layers/attention.h"

namespace asdm {

/// GEGLU feed-forward: y = W2 (a * gelu(g)), [a, g] = W1 x, hidden width 4 * channels.
class FeedForward {
 public:
  FeedForward(ModuleTable& table, const std::string& name, int64_t channels);
  /// residual + ff(x), or ff(x) alone where `residual` is undefined; [batch, tokens, channels] -> the same.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& residual, LayerContext& layer) const;

  [[nodiscard]] PartId part() const noexcept { return part_; }

 private:
  PartId part_;
  Linear proj_;
  Linear out_;
};

/// x += attn1(norm1 x); x += attn2(norm2 x, context); x += ff(norm3 x).
class TransformerBlock {
 public:
  TransformerBlock(ModuleTable& table, const std::string& name, int64_t channels, int64_t context_dim, int64_t heads,
                   int64_t dim_head);
  /// x [batch, tokens, channels], context [batch, context tokens, context_dim] -> as x.
  at::Tensor operator()(at::Tensor x, const at::Tensor& context, LayerContext& layer, TransformerSite site) const;

 private:
  /// Whether the host's own module runs instead: it is to, or one of its units is to and hooks must see the inside.
  [[nodiscard]] bool is_hosts(const LayerContext& layer) const;

  PartId part_;
  LayerNorm norm1_;
  CrossAttention attn1_;
  LayerNorm norm2_;
  CrossAttention attn2_;
  LayerNorm norm3_;
  FeedForward ff_;
};

/// norm, proj_in, transformer blocks on tokens, proj_out, residual.
class SpatialTransformer {
 public:
  struct Shape {
    int64_t channels = 0;
    int64_t heads = 0;
    int64_t dim_head = 0;
    int64_t context_dim = 0;
    bool use_linear = false;  ///< proj_in and proj_out are linears on tokens instead of 1x1 convolutions
    std::vector<int64_t>
        block_numbers;  ///< of the transformer blocks, in the checkpoint; with gaps where some are gone

    [[nodiscard]] int64_t depth() const { return static_cast<int64_t>(block_numbers.size()); }
  };
  SpatialTransformer(ModuleTable& table, const std::string& name, const Shape& shape, int64_t transformer_index);

  /// x [batch, channels, height, width] -> the same.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& context, LayerContext& layer) const;
  /// What is added to x, alone.
  at::Tensor delta(const at::Tensor& x, const at::Tensor& context, LayerContext& layer) const;

  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }

 private:
  using Projection = std::variant<Linear, Conv2d>;
  static Projection projection(ModuleTable& table, const std::string& name, int64_t in, int64_t out, bool use_linear);
  static at::Tensor project(const Projection& projection, const at::Tensor& tokens, int64_t height, LayerContext& layer,
                            const at::Tensor& residual = {});
  /// All but proj_out, on tokens.
  at::Tensor transformed(const at::Tensor& x, const at::Tensor& context, LayerContext& layer) const;

  Shape shape_;
  int64_t transformer_index_;
  GroupNorm norm_;
  Projection proj_in_;
  std::vector<TransformerBlock> blocks_;
  Projection proj_out_;
};

}  // namespace asdm
