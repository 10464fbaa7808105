// The matrix product behind every linear.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/workspace.h"

namespace asdm {

/// x W^T + bias + residual; bias and residual may be undefined. By kernels of our own where the processor has what
/// they need, else on CPU in fp32 through oneDNN, which is up to 2.5 times faster there than the BLAS behind
/// at::linear on processors the BLAS was not tuned for.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                  Workspace& workspace);

/// GEGLU: a * gelu(g) with [a, g] = x W^T + bias.
at::Tensor geglu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Workspace& workspace);

}  // namespace asdm
