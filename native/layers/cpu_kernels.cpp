#include "native/layers/cpu_kernels.h"

#ifdef ASDM_SIMD_KERNELS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <vector>
#endif

#include <c10/core/GradMode.h>

#include "native/base/error.h"

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

#ifdef ASDM_AMX_KERNELS
/// Clang knows the names of AMX in __builtin_cpu_supports from version 19 on, hence by the processor's own word.
bool has_amx() {
  constexpr unsigned kBf16AndTile = (1U << 22U) | (1U << 24U);
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kBf16AndTile) == kBf16AndTile;
}

/// Linux keeps the tile registers of a process only after it was asked to.
bool grants_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

const simd::Kernels* fp32_kernels(InstructionSet allowed) {
  if (allowed >= InstructionSet::kAvx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    return &simd::avx512::fp32_kernels();
  }
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return avx2 && allowed >= InstructionSet::kAvx2 ? &simd::avx2::fp32_kernels() : nullptr;
}

const simd::Kernels* bf16_kernels(InstructionSet allowed) {
  if (allowed < InstructionSet::kAvx512 || !__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512bf16")) {
    return nullptr;
  }
#ifdef ASDM_AMX_KERNELS
  if (allowed >= InstructionSet::kAmx && has_amx() && grants_tiles()) {
    return &simd::amx::bf16_kernels();
  }
#endif
  return &simd::avx512::bf16_kernels();
}

}  // namespace

const simd::Kernels* cpu_kernels(at::ScalarType dtype) {
  static const InstructionSet allowed = most_allowed();
  static const simd::Kernels* const fp32 = fp32_kernels(allowed);
  static const simd::Kernels* const bf16 = bf16_kernels(allowed);
  return dtype == at::kFloat ? fp32 : dtype == at::kBFloat16 ? bf16 : nullptr;
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
