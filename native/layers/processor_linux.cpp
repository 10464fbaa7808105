#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native/layers/processor.h"

namespace asdm {
namespace {

/// Clang knows the names of AMX in __builtin_cpu_supports from version 19 on, hence by the processor's own word.
bool has_amx() {
  constexpr unsigned kBf16AndTile = (1U << 22U) | (1U << 24U);
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kBf16AndTile) == kBf16AndTile;
}

}  // namespace

Processor this_processor() {
  return {.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
          .avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl"),
          .avx512_bf16 = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512dq"),
          .amx_bf16 = has_amx()};
}

/// Linux keeps the tile registers of a process only after it was asked to.
bool grants_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace asdm
