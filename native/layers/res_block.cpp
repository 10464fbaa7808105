#include "native/layers/res_block.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/silu.h>

namespace asdm {
namespace {

constexpr double kResBlockNormEps = 1e-5;

}  // namespace

ResBlock::ResBlock(LeafTable& table, const std::string& name, int64_t channels, int64_t emb_channels,
                   int64_t out_channels)
    : in_channels_(channels),
      out_channels_(out_channels),
      norm1_(table, name + ".in_layers.0", channels, kResBlockNormEps),
      conv1_(table, name + ".in_layers.2", channels, out_channels, 3),
      emb_(table, name + ".emb_layers.1", emb_channels, out_channels),
      norm2_(table, name + ".out_layers.0", out_channels, kResBlockNormEps),
      conv2_(table, name + ".out_layers.3", out_channels, out_channels, 3) {
  if (channels != out_channels) {
    skip_.emplace(table, name + ".skip_connection", channels, out_channels, 1);
  }
}

at::Tensor ResBlock::operator()(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const {
  const at::Tensor h = shifted(x, emb, layer);
  return conv2_(norm2_.silu(h, layer), layer, {.size = {}, .shift = {}, .residual = trunk(x, layer)});
}

at::Tensor ResBlock::trunk(const at::Tensor& x, LayerContext& layer) const { return skip_ ? (*skip_)(x, layer) : x; }

at::Tensor ResBlock::delta(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const {
  return conv2_(norm2_.silu(shifted(x, emb, layer), layer), layer);
}

at::Tensor ResBlock::shifted(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const {
  const at::Tensor shift = emb_(at::silu(emb), layer);
  const auto conv1 = [&](const at::Tensor& fused) {
    return observed(layer.observer, "conv", [&] {
      return conv1_(norm1_.silu(x, layer), layer, {.size = {}, .shift = fused, .residual = {}});
    });
  };
  UnitPort* port = layer.units;
  if (port == nullptr) {
    return conv1(shift);
  }
  const auto with_shift = [&](const at::Tensor& h) { return h + shift.unsqueeze(-1).unsqueeze(-1); };
  if (const at::Tensor given = port->given(kConvUnit, {x.size(0), out_channels_, x.size(2), x.size(3)});
      given.defined()) {
    return with_shift(given);
  }
  if (!port->wants(kConvUnit)) {
    at::Tensor h = conv1(shift);
    port->computed(kConvUnit, {});
    return h;
  }
  const at::Tensor h = conv1({});
  port->computed(kConvUnit, h);
  return with_shift(h);
}

}  // namespace asdm
