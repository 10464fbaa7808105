// A small UNet with random weights and inputs to it, for tests.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include "native/inheritance/run.h"
#include "native/unet/unet.h"
#include "tests/native/tensors.h"

namespace asdm::testing {

/// A preset at width 32, with at most two transformer blocks in a row.
inline UNetSpec tiny_spec(const std::string& preset) {
  UNetSpec spec = preset_spec(preset, 32);
  const auto shorten = [](int64_t& depth) { depth = std::min<int64_t>(depth, 2); };
  std::for_each(spec.transformer_depth.begin(), spec.transformer_depth.end(), shorten);
  std::for_each(spec.transformer_depth_output.begin(), spec.transformer_depth_output.end(), shorten);
  shorten(spec.transformer_depth_middle);
  return spec;
}

struct TinyUNet {
  explicit TinyUNet(const std::string& preset = "sd15")
      : unet(tiny_spec(preset)), tensors(tensors_of(preset, unet)), weights(unet.leaves(), tensors, Lending::kSame) {}

  /// Made once per process: drawing eight million numbers takes longer than many a test.
  static const std::vector<LeafTensors>& tensors_of(const std::string& preset, const UNet& unet) {
    static std::map<std::string, std::vector<LeafTensors>> made;
    std::vector<LeafTensors>& found = made[preset];
    if (found.empty()) {
      found = random_weights(unet.leaves(), 1);
    }
    return found;
  }

  [[nodiscard]] ForwardInputs inputs(int64_t height = 8, int64_t width = 8, int64_t batch = 1,
                                     uint64_t seed = 1) const {
    ForwardInputs made;
    made.x = noise({batch, 4, height, width}, seed);
    made.timesteps = at::full({batch}, 500.0F) + at::arange(batch, at::kFloat);
    made.context = noise({batch, 5, unet.spec().context_dim}, seed + 1);
    if (unet.spec().adm_in_channels != 0) {
      made.y = noise({batch, unet.spec().adm_in_channels}, seed + 2);
    }
    return made;
  }

  at::Tensor full(const ForwardInputs& given) {
    Hooks none;
    return full(given, none);
  }
  at::Tensor full(const ForwardInputs& given, Hooks& hooks) {
    CallFeatures features;
    return unet.forward(given, weights, hooks, features);
  }

  /// One call of one evaluation of `run`.
  at::Tensor evaluate(Run& run, double sigma, const ForwardInputs& given, Hooks& hooks,
                      const std::vector<std::string>& keys = {"cond"}) {
    run.begin_evaluation(sigma);
    CallFeatures features = run.begin_call(keys);
    at::Tensor result = unet.forward(given, weights, hooks, features);
    run.end_call(features);
    return result;
  }

  /// The value of every block in a full call.
  std::vector<at::Tensor> block_values(const ForwardInputs& given) {
    const size_t blocks = unet.topology().blocks.size();
    std::vector<NodeId> all;
    for (size_t node = 0; node < blocks; ++node) {
      all.push_back(static_cast<NodeId>(node));
    }
    Hooks none;
    CallFeatures features({"all"}, all, {});
    (void)unet.forward(given, weights, none, features);
    std::vector<at::Tensor> values;
    for (const auto& [node, value] : features.chunk_features(0)) {
      values.push_back(value);
    }
    EXPECT_EQ(values.size(), blocks);
    return values;
  }

  UNet unet;
  std::vector<LeafTensors> tensors;
  LendingWeights weights;
};

/// A run of ten steps that is full once and then inherits `sites`.
inline Run inheriting_run(const TinyUNet& tiny, std::vector<NodeId> sites) {
  return {InheritanceSettings{.sites = std::move(sites), .time_steps = {.interval = 1000}},
          {10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
          static_cast<int64_t>(tiny.unet.topology().blocks.size())};
}

}  // namespace asdm::testing
