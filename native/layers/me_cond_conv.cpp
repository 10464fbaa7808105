#include "native/layers/me_cond_conv.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <utility>

#include "native/layers/channel_sums.h"
#include "native/layers/cpu_kernels.h"

namespace asdm {
namespace {

constexpr int64_t kKernel = 3;

std::vector<LeafId> add_experts(ModuleTable& table, const std::string& res_block, ResConvolution convolution,
                                int64_t in_channels, int64_t out_channels, int64_t experts) {
  std::vector<LeafId> ids;
  for (int64_t e = 0; e < experts; ++e) {
    ids.push_back(table.add({expert_leaf(res_block, convolution, e),
                             LeafKind::kConv2d,
                             {out_channels, in_channels, kKernel, kKernel},
                             true}));
  }
  return ids;
}

/// What shares and biases are reckoned in.
at::ScalarType at_least_fp32(const at::Tensor& tensor) { return c10::promoteTypes(tensor.scalar_type(), at::kFloat); }

}  // namespace

MECondConv::MECondConv(ModuleTable& table, const std::string& res_block, ResConvolution convolution,
                       int64_t in_channels, int64_t out_channels, int64_t emb_channels, const ExpertRouting& routing)
    : experts_(add_experts(table, res_block, convolution, in_channels, out_channels, routing.experts)),
      router_(table, routing_leaf(res_block, convolution),
              routing.source == RoutingSource::kTime ? emb_channels : in_channels, routing.experts),
      routing_(routing) {}

at::Tensor MECondConv::shares(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const {
  at::Tensor read = emb;
  if (routing_.source != RoutingSource::kTime) {
    read = channel_means(x);
    if (routing_.source == RoutingSource::kInputShared) {
      read = read.mean({0}, true);
    }
  }
  const at::Tensor values = router_(read, layer).to(at_least_fp32(read)) / routing_.temperature;
  const at::Tensor made = routing_.form == RoutingForm::kSoftmax ? at::softmax(values, 1) : at::sigmoid(values);
  // One kernel costs less than equal ones. Only on CPU is it free to look, and a gradient goes to each row.
  const bool all_equal = made.is_cpu() && !records_gradient(made) && made.equal(made.narrow(0, 0, 1).expand_as(made));
  return all_equal ? made.narrow(0, 0, 1) : made;
}

at::Tensor MECondConv::mixed_by_host(const at::Tensor& x, const at::Tensor& shares, LayerContext& layer,
                                     const ConvolutionExtras& extras) const {
  at::Tensor sum = extras.residual;
  for (size_t e = 0; e < experts_.size(); ++e) {
    const at::Tensor share = shares.select(1, static_cast<int64_t>(e)).to(x.scalar_type()).view({-1, 1, 1, 1});
    const at::Tensor part = expert(e, x, layer) * share;
    sum = sum.defined() ? sum + part : part;
  }
  return extras.shift.defined() ? sum + extras.shift.unsqueeze(-1).unsqueeze(-1) : sum;
}

at::Tensor MECondConv::expert(size_t number, const at::Tensor& x, LayerContext& layer) const {
  const LeafId leaf = experts_[number];
  if (layer.host_runs_leaf(leaf)) {
    return layer.host->leaf(leaf, x.contiguous()).contiguous(at::MemoryFormat::ChannelsLast);
  }
  const LeafTensors tensors = layer.weights.fetch(leaf, x);
  return convolution(x, tensors.weight, tensors.bias, 1, {}, layer.workspace);
}

at::Tensor MECondConv::operator()(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer,
                                  const ConvolutionExtras& extras) const {
  const at::Tensor rows = shares(x, emb, layer);
  if (std::any_of(experts_.begin(), experts_.end(), [&](LeafId leaf) { return layer.host_runs_leaf(leaf); })) {
    return mixed_by_host(x, rows, layer, extras);
  }
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> biases;
  for (const LeafId leaf : experts_) {
    const LeafTensors expert = layer.weights.fetch(leaf, x);
    // Hosts lend all weights of a stream in one buffer: the next one would be written over this one.
    const bool is_lent = expert.lease.use_count() > 0;
    weights.push_back(is_lent ? expert.weight.clone() : expert.weight);
    biases.push_back(is_lent ? expert.bias.clone() : expert.bias);
  }
  at::Tensor bias = at::matmul(rows, at::stack(biases).to(rows.scalar_type())).to(biases.front().scalar_type());
  if (rows.size(0) == 1) {
    bias = bias.squeeze(0);
  }
  return convolution(x, MixedWeight(std::move(weights), rows), bias, 1, extras, layer.workspace);
}

}  // namespace asdm
