#include "native/layers/avx512/make_kernels.h"

namespace asdm::avx512 {

const Kernels& bf16_kernels() {
  static constexpr Kernels kKernels = make_kernels<Bf16>();
  return kKernels;
}

}  // namespace asdm::avx512
