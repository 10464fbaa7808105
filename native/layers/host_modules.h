// Parts of the UNet that the host's own modules compute, on the engine's activations: where the host or another pack
// has put something that the engine does not know.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "native/layers/weight_source.h"

namespace asdm {

/// Index into the UNet's table of parts: the layers of its blocks, their transformer blocks, and the units of these.
using PartId = int64_t;

/// What a part gets beside its input.
struct PartInputs {
  at::Tensor emb;                ///< [batch, 4 * model_channels]; for layers of blocks
  at::Tensor context;            ///< [batch, tokens, context_dim]; undefined for attn1 and ff
  at::IntArrayRef output_shape;  ///< of the next skip, which an Upsample enlarges to; empty where there is none
};

/// Tensors cross contiguous, images in NCHW as the host has them; where runs_all(), as its layers leave them.
class HostModules {
 public:
  virtual ~HostModules() = default;

  [[nodiscard]] virtual bool runs_leaf(LeafId leaf) const = 0;
  [[nodiscard]] virtual bool runs_part(PartId part) const = 0;
  /// Whether all layers of all blocks, the embedding and the head are the host's: what comes of it has the host's bits.
  [[nodiscard]] virtual bool runs_all() const = 0;
  /// Whether any part runs that may mix the samples of a batch, so that none of them can run alone.
  [[nodiscard]] virtual bool sees_batch() const = 0;

  /// What the leaf makes of x.
  virtual at::Tensor leaf(LeafId leaf, const at::Tensor& x) = 0;
  /// What the part makes of x: [batch, channels, height, width] for layers, else tokens [batch, tokens, channels].
  virtual at::Tensor part(PartId part, const at::Tensor& x, const PartInputs& inputs) = 0;
  /// The transformers inside a SpatialTransformer of the engine are about to run, on images of `shape`.
  virtual void enter_transformer(at::IntArrayRef shape) = 0;
  /// `h` through what another pack has put before layer `position` of block `block`, by its place among the blocks.
  virtual at::Tensor injected(int64_t block, int64_t position, const at::Tensor& h, const PartInputs& inputs) = 0;
  [[nodiscard]] virtual bool has_injected(int64_t block, int64_t position) const = 0;

  /// Where runs_all(): [batch, 4 * model_channels], with all that is added to it.
  virtual at::Tensor embedding(const at::Tensor& x, const at::Tensor& timesteps, const at::Tensor& y) = 0;
  /// Where runs_all(): the prediction, from what the last block gave.
  virtual at::Tensor head(const at::Tensor& h) = 0;
};

}  // namespace asdm
