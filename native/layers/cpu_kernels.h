// Which kernels of our own this processor runs.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/avx512/kernels.h"

namespace asdm {

/// The kernels of `dtype`, or nullptr where the processor, the build or the dtype has none.
const avx512::Kernels* cpu_kernels(at::ScalarType dtype);

/// True where `tensor` is one that kernels without gradients may read: on CPU, last dimension together, no gradient
/// to record.
bool readable_by_kernels(const at::Tensor& tensor);

}  // namespace asdm
