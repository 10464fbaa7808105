// A small UNet with random weights and inputs to it, for tests.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/run.h"
#include "native/planning/resolved_settings.h"
#include "native/planning/sites.h"
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
  explicit TinyUNet(const std::string& preset = "sd15") : TinyUNet(preset, tiny_spec(preset)) {}
  /// `name` stands for `spec`.
  TinyUNet(const std::string& name, const UNetSpec& spec)
      : unet(spec), tensors(tensors_of(name, unet)), weights(unet.leaves(), tensors, Lending::kSame) {}

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

  /// One call of the current evaluation of `run`.
  at::Tensor call(Run& run, const ForwardInputs& given, Hooks& hooks, const std::vector<std::string>& keys = {"cond"},
                  const std::vector<int64_t>& roles = {}) {
    CallFeatures features = run.begin_call(keys, roles, given.x.size(0));
    at::Tensor result = unet.forward(given, weights, hooks, features, companions);
    run.end_call(features, result);
    return result;
  }

  /// One evaluation of `run` that makes one call.
  at::Tensor evaluate(Run& run, double sigma, const ForwardInputs& given, Hooks& hooks,
                      const std::vector<std::string>& keys = {"cond"}, const std::vector<int64_t>& roles = {}) {
    run.begin_evaluation(sigma, number(run.measure(given.x)));
    return call(run, given, hooks, keys, roles);
  }

  /// The value of every block in a full call.
  std::vector<at::Tensor> block_values(const ForwardInputs& given) {
    std::vector<NodeId> blocks(unet.topology().blocks.size());
    std::iota(blocks.begin(), blocks.end(), NodeId{0});
    std::vector<at::Tensor> values;
    for (const auto& [node, value] : node_values(given, blocks)) {
      values.push_back(value);
    }
    return values;
  }

  /// The values of `nodes` in a full call; layers in `whole_outputs` by their output.
  std::map<NodeId, at::Tensor> node_values(const ForwardInputs& given, const std::vector<NodeId>& nodes,
                                           const std::set<NodeId>& whole_outputs = {}) {
    CallOrder order;
    order.keys = {"all"};
    order.wanted = {nodes.begin(), nodes.end()};
    order.whole_outputs = whole_outputs;
    Hooks none;
    CallFeatures features(std::move(order));
    (void)unet.forward(given, weights, none, features);
    std::map<NodeId, at::Tensor> values = features.ledger().kept_values();
    EXPECT_EQ(values.size(), nodes.size());
    return values;
  }

  /// Node ids of `text`, as a user writes sites.
  [[nodiscard]] ResolvedSites resolve(const std::string& text, const std::string& level = "block") const {
    return resolve_sites(unet.topology(), unet.spec(), site_level_from(level), text);
  }
  [[nodiscard]] std::vector<NodeId> sites(const std::string& text, const std::string& level = "block") const {
    return resolve(text, level).phases.front().sites;
  }
  [[nodiscard]] NodeCount node_count() const {
    return {unet.topology().whole(), static_cast<int64_t>(unet.topology().nodes.size())};
  }

  UNet unet;
  std::vector<LeafTensors> tensors;
  LendingWeights weights;
  Companions companions;  ///< of the calls of runs
};

inline const std::vector<double> kTenSteps = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};

/// A run of ten steps with the settings of `request`.
inline Run run_of(const TinyUNet& tiny, const InheritanceRequest& request) {
  return {settings_of(request, tiny.unet.topology(), tiny.unet.spec()), kTenSteps, tiny.node_count()};
}

/// A run of ten steps that is full once and then inherits `sites`.
inline Run inheriting_run(const TinyUNet& tiny, const std::string& sites) {
  InheritanceRequest request;
  request.sites = sites;
  request.interval = 1000;
  return run_of(tiny, request);
}

/// The features of `values`, as if they had just been computed.
inline std::shared_ptr<FeatureGroup> group_of(const std::vector<std::string>& keys,
                                              const std::map<NodeId, at::Tensor>& values) {
  auto group = std::make_shared<FeatureGroup>();
  group->keys = keys;
  for (const auto& [node, value] : values) {
    group->nodes.try_emplace(node).first->second.push(KeptValue(value, Storage::kCompute), {0, 10.0});
  }
  return group;
}

/// A call that inherits everything in `group`.
inline CallFeatures call_with(const std::shared_ptr<FeatureGroup>& group, const std::set<NodeId>& whole_outputs = {}) {
  CallOrder order;
  order.keys = group->keys;
  order.now = {1, 9.0};
  order.stored = group;
  order.whole_outputs = whole_outputs;
  for (const auto& [node, series] : group->nodes) {
    order.sites.insert(node);
  }
  return CallFeatures(std::move(order));
}

}  // namespace asdm::testing
