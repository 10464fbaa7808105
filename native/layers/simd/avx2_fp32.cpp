#include "native/layers/simd/make_kernels.h"

namespace asdm::simd::avx2 {

const Kernels& fp32_kernels() {
  static constexpr Kernels kKernels = make_kernels<Fp32>();
  return kKernels;
}

}  // namespace asdm::simd::avx2
