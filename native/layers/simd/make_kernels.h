// The table of kernels of one element type.
#pragma once

#include "native/layers/simd/attention_tile.h"
#include "native/layers/simd/mix_tile.h"
#include "native/layers/simd/norm_tile.h"
#include "native/layers/simd/product_tile.h"
#include "native/layers/simd/winograd_tile.h"

namespace asdm::simd::ASDM_SIMD {

/// The table of one element type.
template <class Element>
constexpr Kernels make_kernels() {
  using Attention = AttentionTile<Element>;
  using Norm = NormTile<Element>;
  using Product = ProductTile<Element>;
  Kernels kernels{.group = Element::kGroup,
                  .element_size = sizeof(typename Element::Stored),
                  .tile_rows = Product::kTileRows,
                  .depth_step = 1,
                  .chunk = kChunk,
                  .group_lanes = 4 * kChunk * kPanel,
                  .few_tokens = Element::kGroup == 1 ? 96 : 0,
                  .few_pixels = Element::kGroup == 1 ? 96 : 0,
                  .gathered_rows = 0,
                  .pack_context = &Attention::pack_context,
                  .packed_context_size = &Attention::packed_context_size,
                  .attention_scratch_size = &Attention::scratch_size,
                  .attend_tile = &Attention::attend,
                  .mix = &MixTile<Element>::mix,
                  .packing_scratch = &Product::packing_scratch,
                  .pack_panel = &Product::pack,
                  .multiply = &Product::multiply_part,
                  .finish = &Product::finish,
                  .finish_wide = &Product::finish_wide,
                  .finish_gated = &Product::finish_gated,
                  .small_winograd = {},
                  .large_winograd = {},
                  .channel_sums = &Norm::channel_sums,
                  .scale_shift = &Norm::scale_shift};
  if constexpr (Element::kGroup == 1) {  // pairs of bf16 would lose too many digits in the transforms
    kernels.small_winograd = WinogradTile<SmallFiltering>::kernels();
    kernels.large_winograd = WinogradTile<LargeFiltering>::kernels();
  }
  return kernels;
}

}  // namespace asdm::simd::ASDM_SIMD
