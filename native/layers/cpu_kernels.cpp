#include "native/layers/cpu_kernels.h"

#include <c10/core/GradMode.h>

namespace asdm {

#ifdef ASDM_SIMD_KERNELS

const simd::Kernels* cpu_kernels(at::ScalarType dtype) {
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512vl");
  static const bool avx512_bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  if (dtype == at::kFloat) {
    return avx512 ? &simd::avx512::fp32_kernels() : avx2 ? &simd::avx2::fp32_kernels() : nullptr;
  }
  if (dtype == at::kBFloat16) {
    return avx512_bf16 ? &simd::avx512::bf16_kernels() : nullptr;
  }
  return nullptr;
}

#else

const simd::Kernels* cpu_kernels(at::ScalarType) { return nullptr; }

#endif

bool records_gradient(const at::Tensor& tensor) {
  return at::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad();
}

bool readable_by_kernels(const at::Tensor& tensor) {
  return tensor.device().is_cpu() && tensor.stride(-1) == 1 && !records_gradient(tensor);
}

}  // namespace asdm
