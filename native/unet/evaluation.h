// One call of the UNet: asks the output for its value, and each node for those it needs. A node nobody asks for is
// not run, and an inherited node ends the walk.
#pragma once

#include <stdexcept>
#include <vector>

#include "native/unet/unet.h"

namespace asdm {

/// An inherited feature no longer fits: a hook changed the resolution since it was stored.
class InheritedFeatureMisfit : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Evaluation {
 public:
  Evaluation(const UNet& unet, const ForwardInputs& inputs, WeightSource& weights, Hooks& hooks,
             CallFeatures& features, LayerObserver* observer);

  /// [batch, out_channels, height, width], contiguous.
  at::Tensor output();

 private:
  /// What block `node` hands on: for input blocks the value kept for the skip.
  at::Tensor value(NodeId node);
  at::Tensor compute_input(NodeId node);
  at::Tensor compute_middle();
  at::Tensor compute_output(NodeId node);
  /// The trunk value that enters the block behind input block `node`.
  at::Tensor trunk_after_input(NodeId node);

  void embed();
  void enter(const BlockTopology& block);
  /// The layers of block `node` on `h`; `up_height` x `up_width`: target of an Upsample in it.
  at::Tensor run_block(NodeId node, at::Tensor h, int64_t up_height, int64_t up_width);
  at::Tensor add_control(at::Tensor h, const std::vector<at::Tensor>& residuals, int64_t ordinal) const;

  const UNet& unet_;
  const Topology& topology_;
  const ForwardInputs& inputs_;
  LayerContext layer_;
  Hooks& hooks_;
  CallFeatures& features_;
  Conditioning conditioning_;
  std::vector<at::Tensor> values_;  ///< by node; undefined = not asked for yet
  std::vector<at::Tensor> trunks_;  ///< by input block: what goes on where a hook parted it from the skip
};

}  // namespace asdm
