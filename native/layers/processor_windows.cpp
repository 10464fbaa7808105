// Never run on Windows: written by the documentation, and compared on Linux with what processor_linux.cpp says.
#include <intrin.h>

#include <cstdint>

#include "native/layers/processor.h"

namespace asdm {
namespace {

/// The registers EAX to EDX that CPUID gives for a leaf; none of their bits set where the processor has no such leaf.
struct Answer {
  int registers[4] = {};

  explicit Answer(int leaf, int part = 0) {
    __cpuid(registers, 0);
    const bool known = registers[0] >= leaf;
    __cpuidex(registers, leaf, part);
    for (int& value : registers) {
      value = known ? value : 0;
    }
  }
  [[nodiscard]] bool has(int index, unsigned bit) const {
    return (static_cast<uint32_t>(registers[index]) >> bit & 1U) != 0;
  }
};

constexpr int kEax = 0;
constexpr int kEbx = 1;
constexpr int kEcx = 2;
constexpr int kEdx = 3;

/// The sets of registers that the system saves when it changes threads, as bits of XCR0.
uint64_t saved_registers() { return Answer(1).has(kEcx, 27) ? _xgetbv(0) : 0; }

}  // namespace

Processor this_processor() {
  constexpr uint64_t kYmm = 0x6;   // SSE and AVX
  constexpr uint64_t kZmm = 0xe6;  // and the masks and halves of AVX-512
  const Answer basic(1);
  const Answer extended(7);
  const uint64_t saved = saved_registers();
  const bool ymm = (saved & kYmm) == kYmm;
  const bool zmm = (saved & kZmm) == kZmm;
  return {.avx2 = ymm && extended.has(kEbx, 5) && basic.has(kEcx, 12),
          .avx512 = zmm && extended.has(kEbx, 16) && extended.has(kEbx, 30) && extended.has(kEbx, 31),
          .avx512_bf16 = zmm && extended.has(kEbx, 17) && Answer(7, 1).has(kEax, 5),
          .amx_bf16 = extended.has(kEdx, 22) && extended.has(kEdx, 24)};
}

/// Not asked for: without a machine that has them nobody can see whether they are kept.
bool grants_tiles() { return false; }

}  // namespace asdm
