#include "native/layers/simd/amx_attention.h"
#include "native/layers/simd/amx_product.h"
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
    kernels.tile_rows = AmxProduct::kTileRows;
    kernels.depth_step = kVector;
    kernels.chunk = AmxProduct::kChunk;
    kernels.group_lanes = AmxProduct::kGroupLanes;
    kernels.gathered_rows = AmxProduct::kGatheredRows;
    kernels.pack_panel = &ProductTile<Bf16, kVector>::pack;
    kernels.multiply = &AmxProduct::multiply;
    return kernels;
  }();
  return kKernels;
}

}  // namespace asdm::simd::amx
