// 3x3 convolutions in fp32 by Winograd's minimal filtering: 2.25 or 4 times fewer products than the plain sum.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/convolution_kernel.h"
#include "native/layers/workspace.h"

namespace asdm {

/// As cpu_convolution with stride 1. An undefined tensor where it does not run, or would not pay: other kernels, dtypes
/// and processors, channels that are no multiple of 16, few pixels.
at::Tensor cpu_winograd(const at::Tensor& x, const MixedWeight& weight, const at::Tensor& bias, int64_t stride,
                        const ConvolutionExtras& extras, Workspace& workspace);

}  // namespace asdm
