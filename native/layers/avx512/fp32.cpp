#include "native/layers/avx512/make_kernels.h"

namespace asdm::avx512 {

const Kernels& fp32_kernels() {
  static constexpr Kernels kKernels = make_kernels<Fp32>();
  return kKernels;
}

}  // namespace asdm::avx512
