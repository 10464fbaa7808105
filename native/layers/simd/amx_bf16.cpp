#include "native/layers/simd/amx_tile.h"
#include "native/layers/simd/make_kernels.h"

namespace asdm::simd::amx {

const Kernels& bf16_kernels() {
  static constexpr Kernels kKernels = [] {
    using Attention = AttentionTile<Bf16, AmxDots>;
    Kernels kernels = make_kernels<Bf16>();
    kernels.pack_values = &Attention::pack_values;
    kernels.packed_values_size = &Attention::packed_values_size;
    kernels.attention_scratch_size = &Attention::scratch_size;
    kernels.attend_tile = &Attention::attend;
    kernels.chunk = AmxProduct::kChunk;
    kernels.tiles_at_once = AmxProduct::kTilesAtOnce;
    kernels.multiply_rows = &AmxProduct::multiply_rows;
    return kernels;
  }();
  return kKernels;
}

}  // namespace asdm::simd::amx
