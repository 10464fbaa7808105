#include "native/layers/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <utility>

#include "native/layers/attention_kernel.h"

namespace asdm {

at::Tensor scaled_dot_product(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads,
                              Workspace& workspace) {
  const int64_t batch = q.size(0);
  // A hook may tile the queries into more rows than the context has (HyperTile); the host then reads the context as
  // that many rows too.
  const auto rows = [&](const at::Tensor& t) { return t.size(0) == batch ? t : t.reshape({batch, -1, t.size(2)}); };
  if (at::Tensor out = cpu_attention(q, rows(k), rows(v), heads, workspace); out.defined()) {
    return out;
  }
  const int64_t dim_head = q.size(2) / heads;
  const auto split = [&](const at::Tensor& t) { return t.reshape({batch, -1, heads, dim_head}).transpose(1, 2); };
  return at::scaled_dot_product_attention(split(q), split(k), split(v))
      .transpose(1, 2)
      .reshape({batch, -1, heads * dim_head});
}

CrossAttention::CrossAttention(ModuleTable& table, const std::string& name, AttentionUnit unit, int64_t query_dim,
                               int64_t context_dim, int64_t heads, int64_t dim_head)
    : unit_(unit),
      part_(table.add_part(name)),
      heads_(heads),
      dim_head_(dim_head),
      to_q_(table, name + ".to_q", query_dim, heads * dim_head, false),
      to_k_(table, name + ".to_k", context_dim, heads * dim_head, false),
      to_v_(table, name + ".to_v", context_dim, heads * dim_head, false),
      to_out_(table, name + ".to_out.0", heads * dim_head, query_dim) {}

at::Tensor CrossAttention::operator()(const at::Tensor& x, const at::Tensor& context, const at::Tensor& residual,
                                      LayerContext& layer) const {
  const bool hooked = layer.hooks.hooks_transformers();
  if (!hooked && layer.host_runs(part_)) {
    const at::Tensor other = unit_ == AttentionUnit::kAttn2 ? context : at::Tensor();
    return with_residual(layer.host->part(part_, x, {.emb = {}, .context = other, .output_shape = {}}), residual);
  }
  at::Tensor query = x;
  at::Tensor key = context;
  at::Tensor value = context;
  if (hooked) {
    layer.hooks.attention_inputs(unit_, query, key, value);
  }
  const at::Tensor q = to_q_(query, layer);
  // A hook may have changed the context, and attn1 attends to the tokens themselves.
  Projections* known = unit_ == AttentionUnit::kAttn2 && !hooked ? layer.of_context : nullptr;
  const at::Tensor k = to_k_.remembered(key, layer, known);
  const at::Tensor v = to_v_.remembered(value, layer, known);
  const at::Tensor mixed = attend(q, k, v, layer);
  if (!hooked) {
    return to_out_(mixed, layer, residual);
  }
  const at::Tensor output = layer.hooks.attention_output(unit_, to_out_(mixed, layer));
  return residual.defined() ? residual + output : output;
}

at::Tensor CrossAttention::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  LayerContext& layer) const {
  if (layer.hooks.hooks_transformers()) {
    if (at::Tensor replaced = layer.hooks.replace_attention(unit_, q, k, v); replaced.defined()) {
      return replaced;
    }
  }
  if (layer.hooks.overrides_attention()) {
    return layer.hooks.override_attention(q, k, v, heads_);
  }
  return scaled_dot_product(q, k, v, heads_, layer.workspace);
}

}  // namespace asdm
