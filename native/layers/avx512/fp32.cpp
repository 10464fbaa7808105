#include "native/layers/avx512/make_kernels.h"
#include "native/layers/avx512/winograd_tile.h"

namespace asdm::avx512 {
namespace {

constexpr Kernels make_fp32() {
  Kernels kernels = make_kernels<Fp32>();
  kernels.winograd_inputs = &WinogradTile::inputs;
  kernels.winograd_weights = &WinogradTile::pack;
  kernels.winograd_outputs = &WinogradTile::outputs;
  return kernels;
}

}  // namespace

const Kernels& fp32_kernels() {
  static constexpr Kernels kKernels = make_fp32();
  return kKernels;
}

}  // namespace asdm::avx512
