// Time-step and vector conditioning.
#pragma once

#include <string>

#include "native/layers/leaf.h"

namespace asdm {

/// Sinusoidal features of time steps [batch] (may be fractional) -> [batch, dim], fp32; max period 10000.
at::Tensor timestep_features(const at::Tensor& timesteps, int64_t dim);

/// Linear, SiLU, Linear: the shape of both `time_embed` and `label_emb.0`.
class EmbeddingMlp {
 public:
  EmbeddingMlp(ModuleTable& table, const std::string& name, int64_t in_features, int64_t out_features);
  /// [batch, in_features] -> [batch, out_features]
  at::Tensor operator()(const at::Tensor& x, LayerContext& layer) const;

 private:
  Linear first_;
  Linear second_;
};

}  // namespace asdm
