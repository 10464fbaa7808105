// The table of kernels of one element type.
#pragma once

#include "native/layers/avx512/attention_tile.h"
#include "native/layers/avx512/norm_tile.h"
#include "native/layers/avx512/product_tile.h"

namespace asdm::avx512 {

/// The table of one element type.
template <class Element>
constexpr Kernels make_kernels() {
  using Attention = AttentionTile<Element>;
  using Norm = NormTile<Element>;
  using Product = ProductTile<Element>;
  return {.group = Element::kGroup,
          .element_size = sizeof(typename Element::Stored),
          .pack_values = &Attention::pack_values,
          .packed_values_size = &Attention::packed_values_size,
          .attention_scratch_size = &Attention::scratch_size,
          .attend_tile = &Attention::attend,
          .packing_scratch = &Product::packing_scratch,
          .pack_panel = &Product::pack,
          .multiply_rows = &Product::multiply_rows,
          .finish = &Product::finish,
          .finish_gated = &Product::finish_gated,
          .winograd_inputs = nullptr,
          .winograd_weights = nullptr,
          .winograd_outputs = nullptr,
          .channel_sums = &Norm::channel_sums,
          .scale_shift = &Norm::scale_shift};
}

}  // namespace asdm::avx512
