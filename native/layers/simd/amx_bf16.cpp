#include "native/layers/simd/amx_attention.h"
#include "native/layers/simd/amx_product.h"
#include "native/layers/simd/make_kernels.h"

namespace asdm::simd::amx {

const Kernels& bf16_kernels() {
  static constexpr Kernels kKernels = [] {
    Kernels kernels = make_kernels<Bf16>();
    kernels.pack_context = &AmxAttention::pack_context;
    kernels.packed_context_size = &AmxAttention::packed_context_size;
    kernels.attention_scratch_size = &AmxAttention::scratch_size;
    kernels.attend_tile = &AmxAttention::attend;
    kernels.tile_rows = AmxProduct::kTileRows;
    kernels.depth_step = kVector;
    kernels.chunk = AmxProduct::kChunk;
    kernels.group_lanes = AmxProduct::kGroupLanes;
    kernels.few_pixels = AmxProduct::kFewPixels;
    kernels.gathered_rows = AmxProduct::kGatheredRows;
    kernels.pack_panel = &ProductTile<Bf16, kVector>::pack;
    kernels.multiply = &AmxProduct::multiply;
    return kernels;
  }();
  return kKernels;
}

}  // namespace asdm::simd::amx
