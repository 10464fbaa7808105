// The weighted sum of several weights.
#pragma once

#include "native/layers/simd/kernels.h"
#include "native/layers/simd/lanes.h"

namespace asdm::simd::ASDM_SIMD {

template <class Element>
struct MixTile {
  using Stored = typename Element::Stored;

  static void mix(const void* const* parts, const float* shares, int64_t count, int64_t length, void* out) {
    auto* to = static_cast<Stored*>(out);
    for (int64_t i = 0; i < length; i += kVector) {
      const Mask mask = first_lanes(length - i);
      Vec sum = zero();
      for (int64_t p = 0; p < count; ++p) {
        sum = fmadd(Element::load(static_cast<const Stored*>(parts[p]) + i, mask), splat(shares[p]), sum);
      }
      Element::store(to + i, mask, sum);
    }
  }
};

}  // namespace asdm::simd::ASDM_SIMD
