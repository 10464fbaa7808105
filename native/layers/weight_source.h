// Where layers get their weights from. The host owns them (see docs/architecture.md, "Weights stay with the host").
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace asdm {

/// What a leaf computes; together with `shape` it says which parameters the host must have.
enum class LeafKind { kLinear, kConv2d, kGroupNorm, kLayerNorm };

/// One parameter-carrying leaf of the UNet, under its checkpoint name.
struct LeafInfo {
  std::string name;  ///< e.g. "input_blocks.1.0.in_layers.2"
  LeafKind kind = LeafKind::kLinear;
  std::vector<int64_t> shape;  ///< shape of `weight`
  bool has_bias = true;
};

/// Index into the UNet's table of leaves.
using LeafId = int64_t;

/// Weight and bias for one use. `lease`, where set, gives borrowed (cast, offloaded) tensors back on destruction.
struct LeafTensors {
  at::Tensor weight;
  at::Tensor bias;  ///< undefined where the leaf has none
  std::shared_ptr<void> lease;
};

/// Hands out the effective (patched, cast) weights of a leaf.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// Weights of `leaf` in the dtype and on the device of `input`.
  virtual LeafTensors fetch(LeafId leaf, const at::Tensor& input) = 0;
};

/// All weights at hand as plain tensors; casts at use where the stored dtype differs, as the host does.
class ResidentWeights final : public WeightSource {
 public:
  /// `tensors[i]` belongs to `leaves[i]`; throws Error naming the first leaf with a missing tensor or a wrong shape.
  ResidentWeights(const std::vector<LeafInfo>& leaves, std::vector<LeafTensors> tensors);
  LeafTensors fetch(LeafId leaf, const at::Tensor& input) override;

 private:
  std::vector<LeafTensors> tensors_;
};

/// Throws Error where `tensors` do not fit `leaf`.
void check_leaf(const LeafInfo& leaf, const LeafTensors& tensors);

}  // namespace asdm
