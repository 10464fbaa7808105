// The convolution behind every Conv2d.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/mixed_weight.h"
#include "native/layers/workspace.h"

namespace asdm {

/// What can ride along with a convolution.
struct ConvolutionExtras {
  at::IntArrayRef size;  ///< enlarge the input to this height and width by nearest neighbour first; empty = as it is
  at::Tensor shift;      ///< [batch, out] added to every pixel, or undefined
  at::Tensor residual;   ///< added to the result, or undefined
};

/// Same-padded (kernel / 2) convolution of x [batch, in, height, width] with weight [out, in, kernel, kernel] and bias
/// [out], or with a kernel and a bias for each sample: bias [batch, out].
at::Tensor convolution(const at::Tensor& x, const MixedWeight& weight, const at::Tensor& bias, int64_t stride,
                       const ConvolutionExtras& extras, Workspace& workspace);

}  // namespace asdm
