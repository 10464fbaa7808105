// ME-CondConv: a convolution whose kernel several experts make up, for each sample anew.
#pragma once

#include <string>
#include <vector>

#include "native/base/expert_routing.h"
#include "native/layers/layer_context.h"
#include "native/layers/leaf.h"

namespace asdm {

/// y = (sum_e r_e W_e) * x + sum_e r_e b_e, 3x3, stride 1. The experts are mixed before the one convolution, as in
/// CondConv (arXiv 1904.04971, eq. 3). The shares r = form((R s + c) / temperature) come of a router that reads the
/// mean s of x over its pixels, or the time embedding.
class MECondConv {
 public:
  /// For `convolution` in the ResBlock with the checkpoint prefix `res_block`; its leaves have the names of
  /// native/base/expert_routing.h. `emb_channels`: width of the time embedding.
  MECondConv(ModuleTable& table, const std::string& res_block, ResConvolution convolution, int64_t in_channels,
             int64_t out_channels, int64_t emb_channels, const ExpertRouting& routing);

  /// x [batch, in, height, width], emb [batch, emb_channels] -> [batch, out, height, width]
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer,
                        const ConvolutionExtras& extras = {}) const;

 private:
  /// The experts as modules of the host's, whose outputs are mixed instead of their kernels, which is the same.
  at::Tensor mixed_by_host(const at::Tensor& x, const at::Tensor& shares, LayerContext& layer,
                           const ConvolutionExtras& extras) const;
  at::Tensor expert(size_t number, const at::Tensor& x, LayerContext& layer) const;
  /// The shares, in fp32 or wider: [batch, experts], or [1, experts] where all samples have the same.
  [[nodiscard]] at::Tensor shares(const at::Tensor& x, const at::Tensor& emb, LayerContext& layer) const;

  std::vector<LeafId> experts_;
  Linear router_;
  ExpertRouting routing_;
};

}  // namespace asdm
