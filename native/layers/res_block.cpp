#include "native/layers/res_block.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>

namespace asdm {
namespace {

constexpr double kResBlockNormEps = 1e-5;

/// A 3x3 convolution of a ResBlock: "<name>.in_layers.2" or "<name>.out_layers.3", and its further experts.
std::variant<Conv2d, MECondConv> make_convolution(ModuleTable& table, const std::string& name, ResConvolution which,
                                                  int64_t channels, int64_t out_channels, int64_t emb_channels,
                                                  const std::optional<ExpertRouting>& experts) {
  if (experts) {
    return MECondConv(table, name, which, channels, out_channels, emb_channels, *experts);
  }
  return Conv2d(table, expert_leaf(name, which, 0), channels, out_channels, 3);
}

}  // namespace

ResBlock::ResBlock(ModuleTable& table, const std::string& name, int64_t channels, int64_t emb_channels,
                   int64_t out_channels, const ResExperts& experts)
    : in_channels_(channels),
      out_channels_(out_channels),
      norm1_(table, name + ".in_layers.0", channels, kResBlockNormEps),
      conv1_(
          make_convolution(table, name, ResConvolution::kConv1, channels, out_channels, emb_channels, experts.conv1)),
      emb_(table, name + ".emb_layers.1", emb_channels, out_channels),
      norm2_(table, name + ".out_layers.0", out_channels, kResBlockNormEps),
      conv2_(make_convolution(table, name, ResConvolution::kConv2, out_channels, out_channels, emb_channels,
                              experts.conv2)) {
  if (channels != out_channels) {
    skip_.emplace(table, name + ".skip_connection", channels, out_channels, 1);
  }
}

at::Tensor ResBlock::operator()(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const {
  const at::Tensor h = shifted(x, emb, layer);
  return convolve(conv2_, norm2_.silu(h, layer), emb, layer, {.size = {}, .shift = {}, .residual = trunk(x, layer)});
}

at::Tensor ResBlock::operator()(const HeldJoin& x, const at::Tensor& emb, HeldSums& sums, LayerContext& layer) const {
  constexpr auto kOrder = at::MemoryFormat::ChannelsLast;
  const Conv2d& conv1 = std::get<Conv2d>(conv1_);
  const int64_t held = x.held.size(1);
  const int64_t border = norm1_.in_whole_groups(held);
  if (!sums.skip.defined()) {
    const at::Tensor whole_groups = x.held.narrow(1, 0, border).contiguous(kOrder);
    sums.conv1 = conv1.part(norm1_.silu_part(whole_groups, 0, layer), 0, layer);
    sums.skip = skip_->part(x.held, 0, layer);
  }
  const at::Tensor h = observed(layer.observer, "conv", [&] {
    const at::Tensor rest = at::cat({x.held.narrow(1, border, held - border), x.fresh}, 1).contiguous(kOrder);
    return conv1.part(norm1_.silu_part(rest, border, layer), border, layer,
                      {.size = {}, .shift = emb_(at::silu(emb), layer), .residual = sums.conv1});
  });
  const at::Tensor past = skip_->part(x.fresh, held, layer, {.size = {}, .shift = {}, .residual = sums.skip});
  return convolve(conv2_, norm2_.silu(h, layer), emb, layer, {.size = {}, .shift = {}, .residual = past});
}

bool ResBlock::splits(const LayerContext& layer) const {
  const auto* conv1 = std::get_if<Conv2d>(&conv1_);
  return skip_ && conv1 != nullptr && norm1_.has_parts(layer) && conv1->has_parts(layer) && skip_->has_parts(layer);
}

at::Tensor ResBlock::trunk(const at::Tensor& x, LayerContext& layer) const { return skip_ ? (*skip_)(x, layer) : x; }

at::Tensor ResBlock::delta(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const {
  return convolve(conv2_, norm2_.silu(shifted(x, emb, layer), layer), emb, layer, {});
}

at::Tensor ResBlock::convolve(const Convolution& convolution, const at::Tensor& x, const at::Tensor& emb,
                              LayerContext& layer, const ConvolutionExtras& extras) {
  if (const auto* mixed = std::get_if<MECondConv>(&convolution)) {
    return (*mixed)(x, emb, layer, extras);
  }
  return std::get<Conv2d>(convolution)(x, layer, extras);
}

at::Tensor ResBlock::shifted(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const {
  const at::Tensor shift = emb_(at::silu(emb), layer);
  const auto conv1 = [&](const at::Tensor& fused) {
    return observed(layer.observer, "conv", [&] {
      return convolve(conv1_, norm1_.silu(x, layer), emb, layer, {.size = {}, .shift = fused, .residual = {}});
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
