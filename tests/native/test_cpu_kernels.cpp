#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "native/base/words.h"
#include "native/layers/cpu_kernels.h"

namespace asdm {
namespace {

/// Whether ASDM_CPU_KERNELS allows `set`.
bool allowed(const std::string& set) {
  const std::vector<std::string> sets = {"none", "avx2", "avx512", "amx"};
  const char* asked = std::getenv(kCpuKernelsVariable);
  const auto most = asked == nullptr ? std::prev(sets.end()) : std::find(sets.begin(), sets.end(), asked);
  return std::find(sets.begin(), sets.end(), set) <= most;
}

TEST(CpuKernels, AreThereWhereTheProcessorHasWhatTheyNeed) {
#if defined(__x86_64__)
  const bool fp32 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && allowed("avx2");
  const bool bf16 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16") && allowed("avx512");
#else
  const bool fp32 = false;
  const bool bf16 = false;
#endif
  EXPECT_EQ(cpu_kernels(at::kFloat) != nullptr, fp32);
  EXPECT_EQ(cpu_kernels(at::kBFloat16) != nullptr, bf16);
  EXPECT_EQ(cpu_kernels(at::kHalf), nullptr);
}

/// A runner without the instructions would skip most of what is tested here, in green.
TEST(CpuKernels, AreThoseThatThisMachineMustHave) {
  const char* wanted = std::getenv("ASDM_MUST_HAVE_KERNELS");  // "fp32", or "fp32,bf16"
  for (const std::string& dtype : words_of(wanted == nullptr ? "" : wanted)) {
    ASSERT_TRUE(dtype == "fp32" || dtype == "bf16") << dtype;
    if (allowed(dtype == "fp32" ? "avx2" : "avx512")) {
      EXPECT_NE(cpu_kernels(dtype == "fp32" ? at::kFloat : at::kBFloat16), nullptr) << dtype;
    }
  }
}

#if defined(__x86_64__)
TEST(CpuKernels, AreTheBestOfTheProcessor) {
  if (__builtin_cpu_supports("avx512bw") && allowed("avx512")) {
    EXPECT_EQ(cpu_kernels(at::kFloat), &simd::avx512::fp32_kernels());
  }
  std::ifstream cpuinfo("/proc/cpuinfo");
  const std::string text(std::istreambuf_iterator<char>(cpuinfo), {});
  if (text.find(" amx_bf16") != std::string::npos && allowed("amx")) {
    EXPECT_EQ(cpu_kernels(at::kBFloat16), &simd::amx::bf16_kernels());
  }
}
#endif

}  // namespace
}  // namespace asdm
