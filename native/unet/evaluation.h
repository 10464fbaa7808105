// One call of the UNet: asks the output for its value, and each block for those it needs. A block nobody asks for is
// not run, and an inherited one ends the walk.
#pragma once

#include <memory>
#include <vector>

#include "native/unet/needs.h"
#include "native/unet/unet.h"

namespace asdm {

class Evaluation {
 public:
  Evaluation(const UNet& unet, const ForwardInputs& inputs, WeightSource& weights, Hooks& hooks, CallFeatures& features,
             const Companions& companions);

  /// [batch, out_channels, height, width], contiguous. Throws InheritedFeatureMisfit.
  at::Tensor output();
  /// What block `node` hands on, for input blocks the value kept for the skip. Ask in evaluation order, and before
  /// output(): what a block consumed is dropped.
  at::Tensor block(NodeId node);
  /// `value` stands in for block `node`, which is not run.
  void give(NodeId node, at::Tensor value);

 private:
  /// As block(), once the embedding is there.
  at::Tensor value(NodeId node);
  at::Tensor compute_input(NodeId node);
  at::Tensor compute_middle(NodeId node);
  at::Tensor compute_output(NodeId node);
  /// The input of an output block: the trunk and its skip, with the host's control and hooks.
  at::Tensor join(const BlockTopology& block, at::Tensor h, at::Tensor skip);
  /// Throws InheritedFeatureMisfit where the two are of different sizes.
  void check_join(const BlockTopology& block, const at::Tensor& h, const at::Tensor& skip) const;
  /// Whether output block `node` joins a trunk that is held with its skip, and nobody touches either.
  [[nodiscard]] bool joins_held(NodeId node, const at::Tensor& h) const;
  /// Such a block: what it makes of the trunk alone is made once for as long as that is held.
  at::Tensor run_joined(NodeId node, const HeldJoin& join, at::IntArrayRef output_shape);
  /// Nobody asks for what block `node` consumed again; without this the whole decoder would stay in memory.
  void drop_inputs(NodeId node);
  /// What block `node` hands on to the block behind it.
  at::Tensor trunk_from(NodeId node);
  /// The same of an input block, which a hook may have parted from its skip.
  at::Tensor trunk_after_input(NodeId node);

  void embed();
  void enter(const BlockTopology& block);
  /// An input of the size of `h` enters block `node`. Throws InheritedFeatureMisfit.
  void check_entry(NodeId node, const at::Tensor& h);
  [[nodiscard]] Needs needs_of(NodeId node) const;
  /// The layers that block `node` needs, on `h`; `output_shape`: of the next skip, an Upsample's target.
  at::Tensor run_block(NodeId node, const Needs& needs, at::Tensor h, at::IntArrayRef output_shape = {});
  [[nodiscard]] PartInputs part_inputs(at::IntArrayRef output_shape) const {
    return {emb_, inputs_.context, output_shape};
  }
  /// `h` in the order of memory that the layers like best.
  [[nodiscard]] at::Tensor laid_out(const at::Tensor& h) const;
  at::Tensor add_control(at::Tensor h, const std::vector<at::Tensor>& residuals, int64_t ordinal) const;

  const UNet& unet_;
  const Topology& topology_;
  const ForwardInputs& inputs_;
  LayerContext layer_;
  Hooks& hooks_;
  CallFeatures& features_;
  ProjectionCache* projections_;
  bool reuses_sums_;
  std::shared_ptr<Projections> of_context_;
  at::Tensor emb_;                  ///< [batch, 4 * model_channels]
  std::vector<at::Tensor> values_;  ///< by node; undefined = not asked for yet
  std::vector<at::Tensor> trunks_;  ///< by input block: what goes on where a hook parted it from the skip
};

}  // namespace asdm
