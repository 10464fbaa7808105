#include "native/layers/cpu_kernels.h"

#ifdef ASDM_SIMD_KERNELS
#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <vector>
#endif

#include <c10/core/GradMode.h>

#include "native/base/error.h"
#include "native/layers/processor.h"

namespace asdm {

#ifdef ASDM_SIMD_KERNELS

namespace {

/// Each needs what those before it need.
enum class InstructionSet { kNone, kAvx2, kAvx512, kAmx };

/// The most that the environment allows; all of it where the variable is not set.
InstructionSet most_allowed() {
  const char* asked = std::getenv(kCpuKernelsVariable);
  if (asked == nullptr || *asked == '\0') {
    return InstructionSet::kAmx;
  }
  const std::vector<std::string> names = {"none", "avx2", "avx512", "amx"};
  const auto found = std::find(names.begin(), names.end(), asked);
  if (found == names.end()) {
    throw unknown_name(kCpuKernelsVariable, asked, names);
  }
  return static_cast<InstructionSet>(std::distance(names.begin(), found));
}

bool runs_avx512() { return most_allowed() >= InstructionSet::kAvx512 && this_processor().avx512; }

const simd::Kernels* fp32_kernels() {
  if (runs_avx512()) {
    return &simd::avx512::fp32_kernels();
  }
  const bool avx2 = most_allowed() >= InstructionSet::kAvx2 && this_processor().avx2;
  return avx2 ? &simd::avx2::fp32_kernels() : nullptr;
}

const simd::Kernels* bf16_kernels() {
  if (!runs_avx512() || !this_processor().avx512_bf16) {
    return nullptr;
  }
#ifdef ASDM_AMX_KERNELS
  if (most_allowed() >= InstructionSet::kAmx && this_processor().amx_bf16 && grants_tiles()) {
    return &simd::amx::bf16_kernels();
  }
#endif
  return &simd::avx512::bf16_kernels();
}

}  // namespace

const simd::Kernels* cpu_kernels(at::ScalarType dtype) {
  if (dtype == at::kFloat) {
    static const simd::Kernels* const kernels = fp32_kernels();
    return kernels;
  }
  if (dtype == at::kBFloat16) {
    static const simd::Kernels* const kernels = bf16_kernels();
    return kernels;
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
