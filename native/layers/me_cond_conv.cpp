#include "native/layers/me_cond_conv.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <c10/core/ScalarType.h>

#include "native/layers/cpu_kernels.h"
#include "native/layers/product.h"

namespace asdm {
namespace {

constexpr int64_t kKernel = 3;

std::vector<LeafId> add_experts(LeafTable& table, const std::string& res_block, ResConvolution convolution,
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

/// The kernel and the bias of each row of `shares`.
class Mixer {
 public:
  Mixer(const std::vector<LeafTensors>& experts, const at::Tensor& shares) {
    for (const LeafTensors& expert : experts) {
      weights_.push_back(expert.weight);
      biases_.push_back(expert.bias);
    }
    const at::ScalarType dtype = weights_.front().scalar_type();
    biases_mixed_ = at::matmul(shares, at::stack(biases_).to(shares.scalar_type())).to(dtype);
    by_value_ = shares.is_cpu() && cpu_kernels(dtype) != nullptr && !records_gradient(shares) &&
                std::none_of(weights_.begin(), weights_.end(), records_gradient);
    if (by_value_) {
      shares_ = shares.to(at::kFloat).contiguous();
    } else {
      mixed_ = at::matmul(shares.to(dtype), at::stack(weights_).flatten(1)).unflatten(1, weights_.front().sizes());
    }
  }

  [[nodiscard]] MixedWeight weight(int64_t row) const {
    if (!by_value_) {
      return mixed_.select(0, row);
    }
    const float* values = shares_.const_data_ptr<float>() + row * shares_.size(1);
    return {weights_, {values, values + shares_.size(1)}};
  }
  [[nodiscard]] at::Tensor bias(int64_t row) const { return biases_mixed_.select(0, row); }
  /// Whether kernels of ours mix the experts, so that no gradient goes to them.
  [[nodiscard]] bool by_value() const { return by_value_; }

 private:
  at::Tensor shares_;  ///< [rows, experts], fp32
  std::vector<at::Tensor> weights_;
  std::vector<at::Tensor> biases_;
  at::Tensor biases_mixed_;  ///< [rows, out]
  at::Tensor mixed_;         ///< [rows, out, in, kernel, kernel], where no kernel of ours mixes
  bool by_value_ = false;
};

/// `tensor` of one sample; undefined where it is.
at::Tensor of_sample(const at::Tensor& tensor, int64_t sample) {
  return tensor.defined() ? tensor.narrow(0, sample, 1) : tensor;
}

}  // namespace

MECondConv::MECondConv(LeafTable& table, const std::string& res_block, ResConvolution convolution, int64_t in_channels,
                       int64_t out_channels, int64_t emb_channels, const ExpertRouting& routing)
    : experts_(add_experts(table, res_block, convolution, in_channels, out_channels, routing.experts)),
      router_(table, routing_leaf(res_block, convolution),
              routing.source == RoutingSource::kTime ? emb_channels : in_channels, routing.experts),
      routing_(routing) {}

at::Tensor MECondConv::shares(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const {
  at::Tensor read = emb;
  if (routing_.source != RoutingSource::kTime) {
    read = x.mean({2, 3});
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

at::Tensor MECondConv::operator()(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer,
                                  const ConvolutionExtras& extras) const {
  const at::Tensor rows = shares(x, emb, layer);
  std::vector<LeafTensors> experts;
  for (const LeafId leaf : experts_) {
    experts.push_back(layer.weights.fetch(leaf, x));
  }
  const Mixer mixer(experts, rows);
  if (rows.size(0) == 1) {
    return convolution(x, mixer.weight(0), mixer.bias(0), 1, extras, layer.workspace);
  }
  at::Tensor out;
  if (mixer.by_value() && !records_gradient(x) && !records_gradient(extras.shift) && !records_gradient(extras.residual)) {
    out = layer.workspace.empty({x.size(0), experts.front().weight.size(0), x.size(2), x.size(3)}, x.options(),
                                at::MemoryFormat::ChannelsLast);
  }
  std::vector<at::Tensor> samples;
  for (int64_t sample = 0; sample < x.size(0); ++sample) {
    samples.push_back(convolution(of_sample(x, sample), mixer.weight(sample), mixer.bias(sample), 1,
                                  {.size = extras.size,
                                   .shift = of_sample(extras.shift, sample),
                                   .residual = of_sample(extras.residual, sample),
                                   .out = of_sample(out, sample)},
                                  layer.workspace));
  }
  return out.defined() ? out : at::cat(samples);
}

}  // namespace asdm
