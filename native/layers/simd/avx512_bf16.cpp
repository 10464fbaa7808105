#include "native/layers/simd/make_kernels.h"

namespace asdm::simd::avx512 {

const Kernels& bf16_kernels() {
  static constexpr Kernels kKernels = make_kernels<Bf16>();
  return kKernels;
}

}  // namespace asdm::simd::avx512
