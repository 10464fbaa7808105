#include "native/layers/res_block.h"

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
  const at::Tensor shift = emb_(at::silu(emb), layer);
  const at::Tensor h = conv1_(norm1_.silu(x, layer), layer, {.size = {}, .shift = shift, .residual = {}});
  const at::Tensor residual = skip_ ? (*skip_)(x, layer) : x;
  return conv2_(norm2_.silu(h, layer), layer, {.size = {}, .shift = {}, .residual = residual});
}

}  // namespace asdm
