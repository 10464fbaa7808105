// Which kernels of our own this processor runs.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/simd/kernels.h"

namespace asdm {

/// Names the most that may be used of a processor: none, avx2, avx512 or amx. For tests and to find the cause of a
/// difference; read before the first use of a dtype's kernels.
inline constexpr const char* kCpuKernelsVariable = "ASDM_CPU_KERNELS";

/// The kernels of `dtype`, or nullptr where the processor, the build, the dtype or kCpuKernelsVariable has none. Throws
/// Error where that is set to another name.
const simd::Kernels* cpu_kernels(at::ScalarType dtype);

/// True where autograd must see what is done with `tensor` (not where it is undefined), which our kernels would hide.
bool records_gradient(const at::Tensor& tensor);

/// True where `tensor` is one that our kernels may read: on CPU, last dimension together, no gradient to record.
bool readable_by_kernels(const at::Tensor& tensor);

}  // namespace asdm
