// What a layer's forward needs beside its input: weights, memory, and the hooks of the host that reach inside a layer.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/host_modules.h"
#include "native/layers/layer_observer.h"
#include "native/layers/projection_cache.h"
#include "native/layers/unit_port.h"
#include "native/layers/weight_source.h"
#include "native/layers/workspace.h"

namespace asdm {

enum class AttentionUnit { kAttn1, kAttn2 };

/// Place of one transformer block, as the host's hooks know it.
struct TransformerSite {
  int64_t transformer_index = 0;  ///< ordinal of the SpatialTransformer in the full UNet, evaluation order
  int64_t block_index = 0;        ///< number of the transformer block inside its SpatialTransformer of the full UNet
  int64_t ordinal = 0;            ///< the same among those that are there
  int64_t heads = 0;
  int64_t dim_head = 0;
};

/// The host's hooks inside a transformer. Every default is "no hook". Tensors: tokens [batch, tokens, channels].
class TransformerHooks {
 public:
  virtual ~TransformerHooks() = default;

  /// Called between layers: the place to honour an interrupt, by throwing.
  virtual void poll() {}

  /// True where any hook below may act; the layer then asks each of them.
  [[nodiscard]] virtual bool hooks_transformers() const { return false; }
  /// A SpatialTransformer starts on activations of `shape` [batch, channels, height, width].
  virtual void enter_transformer(int64_t /*transformer_index*/, at::IntArrayRef /*shape*/) {}
  virtual void enter_transformer_block(const TransformerSite& /*site*/) {}

  /// attn1_patch / attn2_patch: may change the query input, the context and the value input.
  virtual void attention_inputs(AttentionUnit, at::Tensor& /*query*/, at::Tensor& /*context*/, at::Tensor& /*value*/) {}
  /// patches_replace attn1 / attn2 on projected q, k, v; undefined = not replaced.
  virtual at::Tensor replace_attention(AttentionUnit, const at::Tensor& /*q*/, const at::Tensor& /*k*/,
                                       const at::Tensor& /*v*/) {
    return {};
  }
  /// True where override_attention must be asked, with or without other hooks.
  [[nodiscard]] virtual bool overrides_attention() const { return false; }
  /// What optimized_attention_override or the host's chosen attention makes of projected q, k, v.
  virtual at::Tensor override_attention(const at::Tensor& /*q*/, const at::Tensor& /*k*/, const at::Tensor& /*v*/,
                                        int64_t /*heads*/) {
    return {};
  }
  /// attn1_output_patch / attn2_output_patch.
  virtual at::Tensor attention_output(AttentionUnit, at::Tensor output) { return output; }
  /// middle_patch, between attn1 and attn2.
  virtual at::Tensor between_attentions(at::Tensor x) { return x; }
};

/// Passed down through every layer of one forward call.
struct LayerContext {
  WeightSource& weights;
  TransformerHooks& hooks;
  Workspace& workspace;
  LayerObserver* observer = nullptr;  ///< null where nobody watches
  UnitPort* units = nullptr;          ///< of the layer that runs; null where all its units are computed
  Projections* of_context = nullptr;  ///< what linears made of the context before; null where nobody remembers
  HostModules* host = nullptr;        ///< null where the host computes no part

  [[nodiscard]] bool host_runs_leaf(LeafId leaf) const { return host != nullptr && host->runs_leaf(leaf); }
  [[nodiscard]] bool host_runs(PartId part) const { return host != nullptr && host->runs_part(part); }
};

}  // namespace asdm
