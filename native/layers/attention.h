// Scaled dot-product attention and the attention unit of a transformer block.
#pragma once

#include <string>

#include "native/layers/layer_context.h"
#include "native/layers/leaf.h"

namespace asdm {

/// softmax(q k^T / sqrt(d)) v. q [batch, tokens, heads * d], k and v [batch, context tokens, heads * d].
at::Tensor scaled_dot_product(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads,
                              Workspace& workspace);

/// One attention unit: to_q, to_k, to_v, attention, to_out.
class CrossAttention {
 public:
  CrossAttention(ModuleTable& table, const std::string& name, AttentionUnit unit, int64_t query_dim,
                 int64_t context_dim, int64_t heads, int64_t dim_head);

  /// residual + attention of x [batch, tokens, query_dim] to context [batch, context tokens, context_dim]; the
  /// attention alone where `residual` is undefined.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& context, const at::Tensor& residual,
                        LayerContext& layer) const;

  [[nodiscard]] PartId part() const noexcept { return part_; }
  [[nodiscard]] int64_t heads() const noexcept { return heads_; }
  [[nodiscard]] int64_t dim_head() const noexcept { return dim_head_; }

 private:
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, LayerContext& layer) const;

  AttentionUnit unit_;
  PartId part_;
  int64_t heads_;
  int64_t dim_head_;
  Linear to_q_;
  Linear to_k_;
  Linear to_v_;
  Linear to_out_;
};

}  // namespace asdm
