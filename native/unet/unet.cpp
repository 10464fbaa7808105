#include "native/unet/unet.h"

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <sstream>
#include <utility>

#include "native/base/error.h"
#include "native/base/log.h"
#include "native/unet/evaluation.h"
#include "native/unet/guidance.h"
#include "native/unet/layer_units.h"

namespace asdm {
namespace {

constexpr double kOutNormEps = 1e-5;

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) {
    return "none";
  }
  std::ostringstream out;
  out << "shape " << tensor.sizes() << " of " << tensor.scalar_type();
  return out.str();
}

std::vector<Block> make_blocks(ModuleTable& table, const Topology& topology, int64_t emb_channels) {
  std::vector<Block> blocks;
  for (const BlockTopology& block : topology.blocks) {
    blocks.emplace_back(table, block, emb_channels, static_cast<int64_t>(blocks.size()));
  }
  return blocks;
}

std::optional<EmbeddingMlp> make_label_emb(ModuleTable& table, const UNetSpec& spec) {
  if (spec.adm_in_channels == 0) {
    return std::nullopt;
  }
  return EmbeddingMlp(table, "label_emb.0", spec.adm_in_channels, spec.model_channels * 4);
}

/// `inputs` less the channels of x that only a first convolution of the host's own takes (IC-Light's, say).
ForwardInputs with_known_channels(ForwardInputs inputs, const HostModules* host, const std::vector<LeafInfo>& leaves,
                                  int64_t channels) {
  if (host != nullptr && inputs.x.defined() && inputs.x.dim() == 4 && inputs.x.size(1) > channels) {
    const auto first = std::find_if(leaves.begin(), leaves.end(),
                                    [](const LeafInfo& leaf) { return leaf.name == "input_blocks.0.0"; });
    if (first != leaves.end() && host->runs_leaf(first - leaves.begin())) {
      inputs.x = inputs.x.narrow(1, 0, channels);
    }
  }
  return inputs;
}

}  // namespace

UNet::UNet(UNetSpec spec)
    : spec_(std::move(spec)),
      topology_(make_topology(spec_)),
      time_embed_(table_, "time_embed", spec_.model_channels, spec_.model_channels * 4),
      label_emb_(make_label_emb(table_, spec_)),
      blocks_(make_blocks(table_, topology_, spec_.model_channels * 4)),
      out_norm_(table_, "out.0", topology_.blocks.back().out_channels, kOutNormEps),
      out_conv_(table_, "out.2", spec_.model_channels, spec_.out_channels, 3) {}

void UNet::check(const ForwardInputs& inputs) const {
  const at::Tensor& x = inputs.x;
  if (!x.defined() || x.dim() != 4 || x.size(1) != spec_.in_channels) {
    throw invalid_input("UNet input x", "[batch, " + std::to_string(spec_.in_channels) + ", height, width]",
                        describe(x));
  }
  if (!inputs.timesteps.defined() || inputs.timesteps.dim() != 1 || inputs.timesteps.size(0) != x.size(0)) {
    throw invalid_input("UNet input timesteps", "[" + std::to_string(x.size(0)) + "]", describe(inputs.timesteps));
  }
  const at::Tensor& context = inputs.context;
  if (!context.defined() || context.dim() != 3 || context.size(0) != x.size(0) ||
      context.size(2) != spec_.context_dim) {
    throw invalid_input("UNet input context",
                        "[" + std::to_string(x.size(0)) + ", tokens, " + std::to_string(spec_.context_dim) +
                            "] (text features of a matching text encoder)",
                        describe(context));
  }
  const bool takes_y = spec_.adm_in_channels != 0;
  const bool y_fits = inputs.y.defined() && inputs.y.dim() == 2 && inputs.y.size(0) == x.size(0) &&
                      inputs.y.size(1) == spec_.adm_in_channels;
  if (takes_y ? !y_fits : inputs.y.defined()) {
    throw invalid_input("UNet input y",
                        takes_y ? "[" + std::to_string(x.size(0)) + ", " + std::to_string(spec_.adm_in_channels) + "]"
                                : "none (this UNet takes no vector conditioning)",
                        describe(inputs.y));
  }
}

at::Tensor UNet::forward(const ForwardInputs& inputs, WeightSource& weights, Hooks& hooks, CallFeatures& features,
                         const Companions& companions) const {
  check(with_known_channels(inputs, companions.host, table_.leaves(), spec_.in_channels));
  const auto started = std::chrono::steady_clock::now();
  at::Tensor prediction = predict(inputs, weights, hooks, features, companions);
  if (log::is_on(log::Level::kDebug)) {
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - started;
    std::ostringstream line;
    line << "forward " << inputs.x.sizes() << " " << inputs.x.scalar_type() << ": " << std::fixed
         << std::setprecision(1) << took.count() << (inputs.x.is_cpu() ? " ms, " : " ms to launch, ")
         << features.ledger().computed.size() << " nodes computed, "
         << features.ledger().inherited.size() + features.ledger().forecast.size() << " inherited";
    log::debug(line.str());
  }
  return prediction;
}

at::Tensor UNet::predict(const ForwardInputs& inputs, WeightSource& weights, Hooks& hooks, CallFeatures& features,
                         const Companions& companions) const {
  const auto run = [&](const ForwardInputs& given) {
    return Evaluation(*this, given, weights, hooks, features, companions).output();
  };
  if (features.guided_rows()) {
    if (std::string reason = narrowing_obstacle(inputs, hooks, companions.host); !reason.empty()) {
      features.refuse_guidance(std::move(reason));
    }
  }
  at::Tensor prediction;
  try {
    if (const std::optional<RowRange> rows = features.guided_rows()) {
      features.run_guided_rows();
      return features.with_guidance(run(narrowed(inputs, *rows)));
    }
    prediction = run(inputs);
  } catch (const InheritedFeatureMisfit& misfit) {
    log::debug(std::string("inherited feature does not fit, the call is computed in full: ") + misfit.what());
    features.abandon_inheritance("feature shape changed");
    prediction = run(inputs);
  }
  features.keep_guidance(prediction);
  return prediction;
}

Trace UNet::trace(const ForwardInputs& inputs, WeightSource& weights, const TraceRequest& request) const {
  check(inputs);
  Hooks hooks;
  CallFeatures features;
  Evaluation evaluation(*this, inputs, weights, hooks, features, {});
  for (const auto& [node, value] : request.given) {
    evaluation.give(node, value);
  }
  Trace trace;
  for (const NodeId node : request.blocks) {
    trace.blocks.emplace(node, evaluation.block(node));
  }
  if (request.prediction) {
    trace.prediction = evaluation.output();
  }
  return trace;
}

}  // namespace asdm
