#include "native/layers/spatial_transformer.h"

#include <utility>

namespace asdm {
namespace {

constexpr double kTransformerNormEps = 1e-6;

/// [batch, channels, height, width] -> [batch, height * width, channels]; a view where x is channels_last.
at::Tensor to_tokens(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).flatten(1, 2).contiguous(); }

/// The way back, as a channels_last view.
at::Tensor to_map(const at::Tensor& tokens, int64_t height, int64_t width) {
  return tokens.view({tokens.size(0), height, width, tokens.size(2)}).permute({0, 3, 1, 2});
}

}  // namespace

FeedForward::FeedForward(ModuleTable& table, const std::string& name, int64_t channels)
    : part_(table.add_part(name)),
      proj_(table, name + ".net.0.proj", channels, channels * 8),
      out_(table, name + ".net.2", channels * 4, channels) {}

at::Tensor FeedForward::operator()(const at::Tensor& x, const at::Tensor& residual, LayerContext& layer) const {
  if (layer.host_runs(part_)) {
    return with_residual(layer.host->part(part_, x, {}), residual);
  }
  return out_(proj_.gated(x, layer), layer, residual);
}

TransformerBlock::TransformerBlock(ModuleTable& table, const std::string& name, int64_t channels, int64_t context_dim,
                                   int64_t heads, int64_t dim_head)
    : part_(table.add_part(name)),
      norm1_(table, name + ".norm1", channels),
      attn1_(table, name + ".attn1", AttentionUnit::kAttn1, channels, channels, heads, dim_head),
      norm2_(table, name + ".norm2", channels),
      attn2_(table, name + ".attn2", AttentionUnit::kAttn2, channels, context_dim, heads, dim_head),
      norm3_(table, name + ".norm3", channels),
      ff_(table, name + ".ff", channels) {}

bool TransformerBlock::is_hosts(const LayerContext& layer) const {
  if (layer.host == nullptr) {
    return false;
  }
  const bool has_units =
      layer.host_runs(attn1_.part()) || layer.host_runs(attn2_.part()) || layer.host_runs(ff_.part());
  return layer.host_runs(part_) || (has_units && layer.hooks.hooks_transformers());
}

at::Tensor TransformerBlock::operator()(at::Tensor x, const at::Tensor& context, LayerContext& layer,
                                        TransformerSite site) const {
  const int64_t first_unit = site.ordinal * kTransformerUnits;
  if (is_hosts(layer)) {
    at::Tensor out = layer.host->part(part_, x, {.emb = {}, .context = context, .output_shape = {}});
    for (int64_t unit = first_unit; layer.units != nullptr && unit < first_unit + kTransformerUnits; ++unit) {
      layer.units->computed(unit, {});
    }
    return out;
  }
  const bool hooked = layer.hooks.hooks_transformers();
  if (hooked) {
    site.heads = attn1_.heads();
    site.dim_head = attn1_.dim_head();
    layer.hooks.enter_transformer_block(site);
  }
  x = add_unit(layer.units, first_unit + kAttn1Unit, x, [&](const at::Tensor& residual) {
    return observed(layer.observer, "attn1", [&] {
      const at::Tensor normed = norm1_(x, layer);
      return attn1_(normed, normed, residual, layer);
    });
  });
  if (hooked) {
    x = layer.hooks.between_attentions(std::move(x));
  }
  x = add_unit(layer.units, first_unit + kAttn2Unit, x, [&](const at::Tensor& residual) {
    return observed(layer.observer, "attn2", [&] { return attn2_(norm2_(x, layer), context, residual, layer); });
  });
  return add_unit(layer.units, first_unit + kFeedForwardUnit, x, [&](const at::Tensor& residual) {
    return observed(layer.observer, "ff", [&] { return ff_(norm3_(x, layer), residual, layer); });
  });
}

SpatialTransformer::SpatialTransformer(ModuleTable& table, const std::string& name, const Shape& shape,
                                       int64_t transformer_index)
    : shape_(shape),
      transformer_index_(transformer_index),
      norm_(table, name + ".norm", shape.channels, kTransformerNormEps),
      proj_in_(projection(table, name + ".proj_in", shape.channels, shape.heads * shape.dim_head, shape.use_linear)),
      blocks_([&] {
        std::vector<TransformerBlock> blocks;
        for (const int64_t number : shape.block_numbers) {
          blocks.emplace_back(table, name + ".transformer_blocks." + std::to_string(number),
                              shape.heads * shape.dim_head, shape.context_dim, shape.heads, shape.dim_head);
        }
        return blocks;
      }()),
      proj_out_(projection(table, name + ".proj_out", shape.heads * shape.dim_head, shape.channels, shape.use_linear)) {
}

SpatialTransformer::Projection SpatialTransformer::projection(ModuleTable& table, const std::string& name, int64_t in,
                                                              int64_t out, bool use_linear) {
  if (use_linear) {
    return Linear(table, name, in, out);
  }
  return Conv2d(table, name, in, out, 1);
}

at::Tensor SpatialTransformer::project(const Projection& projection, const at::Tensor& tokens, int64_t height,
                                       LayerContext& layer, const at::Tensor& residual) {
  if (const auto* linear = std::get_if<Linear>(&projection)) {
    return (*linear)(tokens, layer, residual);
  }
  return std::get<Conv2d>(projection).on_tokens(tokens, height, layer, residual);
}

at::Tensor SpatialTransformer::operator()(const at::Tensor& x, const at::Tensor& context, LayerContext& layer) const {
  const at::Tensor tokens = transformed(x, context, layer);
  return to_map(project(proj_out_, tokens, x.size(2), layer, to_tokens(x)), x.size(2), x.size(3));
}

at::Tensor SpatialTransformer::delta(const at::Tensor& x, const at::Tensor& context, LayerContext& layer) const {
  const at::Tensor tokens = transformed(x, context, layer);
  return to_map(project(proj_out_, tokens, x.size(2), layer), x.size(2), x.size(3));
}

at::Tensor SpatialTransformer::transformed(const at::Tensor& x, const at::Tensor& context, LayerContext& layer) const {
  if (layer.hooks.hooks_transformers()) {
    layer.hooks.enter_transformer(transformer_index_, x.sizes());
  }
  if (layer.host != nullptr) {
    layer.host->enter_transformer(x.sizes());
  }
  at::Tensor tokens = project(proj_in_, to_tokens(norm_(x, layer)), x.size(2), layer);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const int64_t number = shape_.block_numbers[i];
    const TransformerSite site{
        .transformer_index = transformer_index_, .block_index = number, .ordinal = static_cast<int64_t>(i)};
    tokens = observed(layer.observer, std::to_string(number),
                      [&] { return blocks_[i](std::move(tokens), context, layer, site); });
  }
  return tokens;
}

}  // namespace asdm
