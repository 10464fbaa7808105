// The host's hooks around blocks. The order of the calls is the host's.
#pragma once

#include <utility>

#include "native/layers/layer_context.h"
#include "native/unet/topology.h"

namespace asdm {

/// Every default is "no hook". Tensors handed to a hook are contiguous NCHW, as the host's own are.
class Hooks : public TransformerHooks {
 public:
  /// True where enter_block must be told of each block.
  [[nodiscard]] virtual bool follows_blocks() const { return false; }
  [[nodiscard]] virtual bool hooks_input_blocks() const { return false; }
  [[nodiscard]] virtual bool hooks_output_blocks() const { return false; }
  [[nodiscard]] virtual bool hooks_middle_block() const { return false; }

  /// A block starts; sets the host's idea of the current block.
  virtual void enter_block(BlockKind /*kind*/, int64_t /*number*/) {}
  /// emb_patch, before the vector conditioning is added. emb [batch, 4 * model_channels].
  virtual at::Tensor embedding(at::Tensor emb) { return emb; }
  /// input_block_patch: the value that goes on and that the skip keeps.
  virtual at::Tensor input_block(at::Tensor h) { return h; }
  /// input_block_patch_after_skip: the value that goes on alone.
  virtual at::Tensor input_block_after_skip(at::Tensor h) { return h; }
  /// middle_block_after_patch, behind the middle block and its control. emb [batch, 4 * model_channels].
  virtual at::Tensor middle_block(at::Tensor h, const at::Tensor& /*emb*/) { return h; }
  /// output_block_patch on the trunk and the skip, before they are joined. No skip comes back where it joined them.
  virtual std::pair<at::Tensor, at::Tensor> output_block(at::Tensor h, at::Tensor skip) {
    return {std::move(h), std::move(skip)};
  }
};

}  // namespace asdm
