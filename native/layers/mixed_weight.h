// What the kernels read as the weight of a layer: one tensor, or the sum of several experts'.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "native/layers/simd/kernels.h"
#include "native/layers/workspace.h"

namespace asdm {

/// The sum over the experts of share * weight, a single weight having the share 1. It is not made as a whole where a
/// kernel packs its rows, which are the outputs: each is summed just before.
class MixedWeight {
 public:
  /// One weight, as it lies.
  MixedWeight(at::Tensor weight);  // NOLINT(google-explicit-constructor): every weight is one
  /// Experts of one shape and dtype, and a share for each.
  MixedWeight(std::vector<at::Tensor> experts, std::vector<float> shares);

  [[nodiscard]] const std::vector<at::Tensor>& experts() const noexcept { return experts_; }
  [[nodiscard]] int64_t size(int64_t dimension) const { return experts_.front().size(dimension); }
  [[nodiscard]] at::ScalarType scalar_type() const { return experts_.front().scalar_type(); }

  /// The sum as one tensor.
  [[nodiscard]] at::Tensor whole(Workspace& workspace) const;

  /// Lanes of scratch that half_panel() needs; none for one weight.
  [[nodiscard]] int64_t half_panel_lanes() const;
  /// At most half a panel of rows from `first` on, of which `left` are left (none, where that is negative), contiguous
  /// experts only: where they lie, or summed in `scratch`.
  [[nodiscard]] simd::PanelHalf half_panel(const simd::Kernels& kernels, int64_t first, int64_t left,
                                           void* scratch) const;

 private:
  [[nodiscard]] bool is_one() const { return shares_.empty(); }
  /// Bytes of a row.
  [[nodiscard]] int64_t row_bytes() const;
  void mix_rows(const simd::Kernels& kernels, int64_t first, int64_t count, void* out) const;

  std::vector<at::Tensor> experts_;
  std::vector<float> shares_;  ///< none for one weight
};

}  // namespace asdm
