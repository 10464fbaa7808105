// What the kernels read as the weight of a layer: one tensor, or sums of several experts'.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "native/layers/simd/kernels.h"
#include "native/layers/workspace.h"

namespace asdm {

/// One kernel for all samples, or one for each: the sum over the experts of share * weight, a single weight having the
/// share 1. None is made as a whole where the layer's kernels pack weights: they sum what they are about to pack.
class MixedWeight {
 public:
  /// One weight, as it lies.
  MixedWeight(at::Tensor weight);  // NOLINT(google-explicit-constructor): every weight is one
  /// Experts of one shape and dtype; shares [kernels, experts], one row for all samples or one for each.
  MixedWeight(std::vector<at::Tensor> experts, at::Tensor shares);

  [[nodiscard]] const std::vector<at::Tensor>& experts() const noexcept { return experts_; }
  [[nodiscard]] int64_t kernels() const { return is_one() ? 1 : shares_.size(0); }
  /// One of the kernels.
  [[nodiscard]] MixedWeight kernel(int64_t number) const;
  /// Of one kernel.
  [[nodiscard]] int64_t size(int64_t dimension) const { return experts_.front().size(dimension); }
  /// True where autograd must see what is made of it.
  [[nodiscard]] bool records_gradient() const;

  /// The kernels as one tensor, [kernels, ...].
  [[nodiscard]] at::Tensor whole(Workspace& workspace) const;

 private:
  friend class PanelSource;

  [[nodiscard]] bool is_one() const { return !shares_.defined(); }

  std::vector<at::Tensor> experts_;
  at::Tensor shares_;  ///< undefined for one weight
};

/// Where kernels of our own find what they pack: contiguous weights, on CPU.
class PanelSource {
 public:
  explicit PanelSource(const MixedWeight& weight);

  [[nodiscard]] int64_t kernels() const { return kernels_; }
  /// What a panel of the kernels [first, last) is packed from; both halves of it begin at an output.
  [[nodiscard]] simd::PanelWeights panel(int64_t first, int64_t last, const simd::PanelHalf& low,
                                         const simd::PanelHalf& high) const;

 private:
  std::vector<const void*> experts_;
  at::Tensor shares_;  ///< [kernels, experts] in fp32, undefined for one weight
  int64_t kernels_;
};

}  // namespace asdm
