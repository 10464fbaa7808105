#include "native/layers/convolution_kernel.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/upsample_nearest2d.h>

#include "native/layers/product.h"
#include "native/layers/winograd.h"

namespace asdm {

at::Tensor convolution(const at::Tensor& x, const MixedWeight& weight, const at::Tensor& bias, int64_t stride,
                       const ConvolutionExtras& extras, Workspace& workspace) {
  if (at::Tensor out = cpu_winograd(x, weight, bias, stride, extras, workspace); out.defined()) {
    return out;
  }
  if (at::Tensor out = cpu_convolution(x, weight, bias, stride, extras, workspace); out.defined()) {
    return out;
  }
  const at::Tensor input = extras.size.empty() ? x : at::upsample_nearest2d(x, extras.size);
  at::Tensor out = at::conv2d(input, weight.whole(workspace), bias, stride, weight.size(2) / 2);
  if (extras.shift.defined()) {
    out = out + extras.shift.unsqueeze(-1).unsqueeze(-1);
  }
  out = extras.residual.defined() ? extras.residual + out : out;
  return extras.out.defined() ? extras.out.copy_(out) : out;
}

}  // namespace asdm
