// Attention on CPU by kernels of our own, where the processor has what they need.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/workspace.h"

namespace asdm {

/// softmax(q k^T / sqrt(d)) v, or an undefined tensor where no kernel of ours runs this call (other dtypes, devices,
/// head sizes, processors, gradients). q [batch, tokens, heads * d], k and v [batch, context tokens, heads * d], fp32
/// or bf16.
at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads,
                         Workspace& workspace);

}  // namespace asdm
