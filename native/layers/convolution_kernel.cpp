#include "native/layers/convolution_kernel.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/upsample_nearest2d.h>

#include "native/layers/product.h"
#include "native/layers/winograd.h"

namespace asdm {

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t stride,
                       const ConvolutionExtras& extras, Workspace& workspace) {
  if (at::Tensor out = cpu_winograd(x, weight, bias, stride, extras, workspace); out.defined()) {
    return out;
  }
  if (at::Tensor out = cpu_convolution(x, weight, bias, stride, extras, workspace); out.defined()) {
    return out;
  }
  const at::Tensor input = extras.size.empty() ? x : at::upsample_nearest2d(x, extras.size);
  at::Tensor out = at::conv2d(input, weight, bias, stride, weight.size(2) / 2);
  if (extras.shift.defined()) {
    out = out + extras.shift.unsqueeze(-1).unsqueeze(-1);
  }
  return extras.residual.defined() ? extras.residual + out : out;
}

}  // namespace asdm
