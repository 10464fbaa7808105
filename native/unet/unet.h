// A Stable Diffusion UNet as a graph of addressed blocks, evaluated on demand.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "native/inheritance/call_features.h"
#include "native/inheritance/control.h"
#include "native/layers/layer_observer.h"
#include "native/layers/time_embedding.h"
#include "native/unet/block.h"
#include "native/unet/hooks.h"
#include "native/unet/topology.h"

namespace asdm {

/// Arguments of one forward call.
struct ForwardInputs {
  at::Tensor x;          ///< [batch, in_channels, height, width]; its dtype is the compute dtype
  at::Tensor timesteps;  ///< [batch], fp32
  at::Tensor context;    ///< [batch, tokens, context_dim], dtype of x
  at::Tensor y;          ///< [batch, adm_in_channels]; undefined where the UNet takes none
  Control control;
};

/// Who goes along with a call; observer and projections change no bit of the result.
struct Companions {
  LayerObserver* observer = nullptr;       ///< is told of each part
  ProjectionCache* projections = nullptr;  ///< remembers, and is to be cleared when weights change
  bool reuses_sums = false;                ///< of held features alone; Run::clear_derived() is called as cleared above
  HostModules* host = nullptr;             ///< computes parts by the host's own modules
};

/// What trace() is to give, and what it is given.
struct TraceRequest {
  std::set<NodeId> blocks;             ///< blocks whose values are wanted
  bool prediction = true;              ///< whether the prediction is wanted too
  std::map<NodeId, at::Tensor> given;  ///< values that stand in for blocks, which are then not run
};

/// Values inside one call, all of them in the graph of gradients.
struct Trace {
  std::map<NodeId, at::Tensor> blocks;  ///< [batch, channels, height, width], those that were asked for
  at::Tensor prediction;                ///< as forward() gives it; undefined where nobody asked for it
};

/// Structure and forward. Holds no weights: a WeightSource brings them with each call.
class UNet {
 public:
  explicit UNet(UNetSpec spec);

  /// Noise (or velocity) prediction [batch, out_channels, height, width] in x's dtype, contiguous.
  /// `features` says what is inherited and collects what was computed.
  [[nodiscard]] at::Tensor forward(const ForwardInputs& inputs, WeightSource& weights, Hooks& hooks,
                                   CallFeatures& features, const Companions& companions = {}) const;

  /// A call without hooks and inheritance that is looked into. Only what the request needs is computed.
  [[nodiscard]] Trace trace(const ForwardInputs& inputs, WeightSource& weights, const TraceRequest& request) const;

  /// Gives the memory that calls leave behind for the next ones back to the system.
  void release_workspace() const { workspace_.release(); }
  /// Bytes of that memory.
  [[nodiscard]] int64_t workspace_bytes() const { return workspace_.bytes(); }

  [[nodiscard]] const UNetSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] const Topology& topology() const noexcept { return topology_; }
  [[nodiscard]] const std::vector<LeafInfo>& leaves() const noexcept { return table_.leaves(); }
  /// Checkpoint names of the parts that HostModules may compute, by PartId.
  [[nodiscard]] const std::vector<std::string>& parts() const noexcept { return table_.parts(); }

 private:
  friend class Evaluation;
  void check(const ForwardInputs& inputs) const;
  [[nodiscard]] at::Tensor predict(const ForwardInputs& inputs, WeightSource& weights, Hooks& hooks,
                                   CallFeatures& features, const Companions& companions) const;

  UNetSpec spec_;
  Topology topology_;
  ModuleTable table_;
  EmbeddingMlp time_embed_;
  std::optional<EmbeddingMlp> label_emb_;
  std::vector<Block> blocks_;
  GroupNorm out_norm_;
  Conv2d out_conv_;
  mutable Workspace workspace_;
};

}  // namespace asdm
