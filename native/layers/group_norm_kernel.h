// GroupNorm on CPU by kernels of our own, where the processor has what they need.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/workspace.h"

namespace asdm {

/// GroupNorm of x [batch, channels, height, width] in channels_last, then SiLU where `with_silu`. An undefined tensor
/// where no kernel of ours runs this call.
at::Tensor cpu_group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t groups,
                          double eps, bool with_silu, Workspace& workspace);

}  // namespace asdm
