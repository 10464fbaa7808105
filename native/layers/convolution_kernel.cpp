#include "native/layers/convolution_kernel.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <vector>

#include "native/layers/product.h"
#include "native/layers/winograd.h"

namespace asdm {
namespace {

/// weight [kernels, out, in, kernel, kernel], one for all samples or one for each.
at::Tensor by_torch(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t stride) {
  const int64_t padding = weight.size(-1) / 2;
  if (weight.size(0) == 1) {
    return at::conv2d(x, weight.select(0, 0), bias, stride, padding);
  }
  std::vector<at::Tensor> samples;
  for (int64_t sample = 0; sample < x.size(0); ++sample) {
    const at::Tensor own = bias.defined() ? bias.select(0, sample) : bias;
    samples.push_back(at::conv2d(x.narrow(0, sample, 1), weight.select(0, sample), own, stride, padding));
  }
  return at::cat(samples);
}

}  // namespace

at::Tensor convolution(const at::Tensor& x, const MixedWeight& weight, const at::Tensor& bias, int64_t stride,
                       const ConvolutionExtras& extras, Workspace& workspace) {
  if (at::Tensor out = cpu_winograd(x, weight, bias, stride, extras, workspace); out.defined()) {
    return out;
  }
  if (at::Tensor out = cpu_convolution(x, weight, bias, stride, extras, workspace); out.defined()) {
    return out;
  }
  const at::Tensor input = extras.size.empty() ? x : at::upsample_nearest2d(x, extras.size);
  at::Tensor out = by_torch(input, weight.whole(workspace), bias, stride);
  if (extras.shift.defined()) {
    out = out + extras.shift.unsqueeze(-1).unsqueeze(-1);
  }
  return extras.residual.defined() ? extras.residual + out : out;
}

}  // namespace asdm
