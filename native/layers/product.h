// Linears and convolutions on CPU by kernels of our own, where the processor has what they need. They read the host's
// weights as they lie and pack them panel by panel into scratch, so that nothing derived has to be kept.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/convolution_kernel.h"
#include "native/layers/workspace.h"

namespace asdm {

/// x W^T + bias + residual. x [..., in], weight [out, in], bias [out] or undefined, residual as the result or
/// undefined. An undefined tensor where no kernel of ours runs this call.
at::Tensor cpu_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                      Workspace& workspace);

/// GEGLU: a * gelu(g) with [a, g] = x W^T + bias; [..., in] -> [..., out / 2]. Undefined as above.
at::Tensor cpu_geglu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Workspace& workspace);

/// Same-padded 3x3 or 1x1 convolution of x [batch, in, height, width] in channels_last, with its extras. Undefined as
/// above.
at::Tensor cpu_convolution(const at::Tensor& x, const MixedWeight& weight, const at::Tensor& bias, int64_t stride,
                           const ConvolutionExtras& extras, Workspace& workspace);

}  // namespace asdm
