#include "native/unet/evaluation.h"

#include <ATen/ExpandUtils.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "native/base/log.h"
#include "native/layers/cpu_kernels.h"
#include "native/unet/layer_units.h"

namespace asdm {
namespace {

/// A contiguous NCHW copy that a hook may write into.
at::Tensor own_copy(const at::Tensor& h) { return h.clone(at::MemoryFormat::Contiguous); }

/// Says each `message` once in a process: what does not fit does so in every block of every call.
void warn_once(const std::string& message) {
  static std::mutex mutex;
  static std::set<std::string> told;
  {
    const std::lock_guard lock(mutex);  // not while it is said: that may wait for Python
    if (!told.insert(message).second) {
      return;
    }
  }
  log::warning(message);
}

}  // namespace

Evaluation::Evaluation(const UNet& unet, const ForwardInputs& inputs, WeightSource& weights, Hooks& hooks,
                       CallFeatures& features, const Companions& companions)
    : unet_(unet),
      topology_(unet.topology_),
      inputs_(inputs),
      layer_{weights, hooks, unet.workspace_, companions.observer, nullptr, nullptr, companions.host},
      hooks_(hooks),
      features_(features),
      projections_(companions.projections),
      reuses_sums_(companions.reuses_sums),
      values_(topology_.blocks.size()),
      trunks_(topology_.blocks.size()) {}

at::Tensor Evaluation::laid_out(const at::Tensor& h) const {
  // What is the host's throughout is left as the host's layers leave it: its order in memory decides on their bits.
  const bool all_hosts = layer_.host != nullptr && layer_.host->runs_all();
  return all_hosts ? h : h.contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor Evaluation::output() {
  if (const at::Tensor stored = features_.inherited(topology_.whole()); stored.defined()) {
    return own_copy(stored);  // the host may write into what it gets
  }
  const at::Tensor h = block(topology_.whole() - 1);
  at::Tensor prediction = observed(layer_.observer, "out", [&] {
    if (layer_.host != nullptr && layer_.host->runs_all()) {
      return layer_.host->head(h);
    }
    return unet_.out_conv_(unet_.out_norm_.silu(h, layer_), layer_).contiguous();
  });
  features_.computed(topology_.whole(), prediction);
  return prediction;
}

at::Tensor Evaluation::block(NodeId node) {
  if (!emb_.defined()) {
    embed();
  }
  return value(node);
}

void Evaluation::give(NodeId node, at::Tensor value) { values_[static_cast<size_t>(node)] = laid_out(value); }

void Evaluation::embed() {
  if (layer_.host != nullptr && layer_.host->runs_all()) {
    emb_ = layer_.host->embedding(inputs_.x, inputs_.timesteps, inputs_.y);
    return;
  }
  const at::Tensor features = timestep_features(inputs_.timesteps, unet_.spec_.model_channels);
  at::Tensor emb = unet_.time_embed_(features.to(inputs_.x.scalar_type()), layer_);
  emb = hooks_.embedding(std::move(emb));
  if (unet_.label_emb_) {
    emb = emb + (*unet_.label_emb_)(inputs_.y, layer_);
  }
  emb_ = std::move(emb);
  if (projections_ != nullptr) {
    of_context_ = projections_->of(inputs_.context);
    layer_.of_context = of_context_.get();
  }
}

at::Tensor Evaluation::value(NodeId node) {
  at::Tensor& known = values_[static_cast<size_t>(node)];
  if (known.defined()) {
    return known;
  }
  if (const NodeId probe = features_.probe_of(node); probe >= 0) {
    features_.probe(node, value(probe));
  }
  if (at::Tensor stored = features_.inherited(node); stored.defined()) {
    return known = std::move(stored);
  }
  at::Tensor fresh;
  switch (topology_.blocks[static_cast<size_t>(node)].kind) {
    case BlockKind::kInput:
      fresh = compute_input(node);
      break;
    case BlockKind::kMiddle:
      fresh = compute_middle(node);
      break;
    case BlockKind::kOutput:
      fresh = compute_output(node);
      break;
  }
  features_.computed(node, fresh);
  return known = std::move(fresh);
}

void Evaluation::enter(const BlockTopology& block) {
  if (hooks_.follows_blocks()) {
    hooks_.enter_block(block.kind, block.number);
  }
}

void Evaluation::check_entry(NodeId node, const at::Tensor& h) {
  if (!features_.enter(node, {h.size(2), h.size(3)})) {
    std::ostringstream what;
    what << topology_.block(node).address << " gets " << h.sizes() << ", got another size before";
    throw InheritedFeatureMisfit(what.str());
  }
}

at::Tensor Evaluation::run_block(NodeId node, const Needs& needs, at::Tensor h, at::IntArrayRef output_shape) {
  const auto index = static_cast<size_t>(node);
  if (h.defined()) {
    check_entry(node, h);
  }
  return observed(layer_.observer, topology_.blocks[index].address, [&] {
    return unet_.blocks_[index].run_from(needs.first_layer, std::move(h), part_inputs(output_shape), layer_, features_);
  });
}

bool Evaluation::joins_held(NodeId node, const at::Tensor& h) const {
  return reuses_sums_ && h.device().is_cpu() && !records_gradient(h) && !hooks_.hooks_output_blocks() &&
         !topology_.is_input(node - 1) && features_.is_held(node - 1) &&
         unet_.blocks_[static_cast<size_t>(node)].splits(features_, layer_);
}

at::Tensor Evaluation::run_joined(NodeId node, const HeldJoin& join, at::IntArrayRef output_shape) {
  const auto index = static_cast<size_t>(node);
  check_join(topology_.block(node), join.held, join.fresh);
  check_entry(node, join.held);
  HeldSums sums;
  const std::vector<at::Tensor> known = features_.derived(node - 1);
  if (!known.empty()) {
    sums = {known[0], known[1]};
  }
  at::Tensor output = observed(layer_.observer, topology_.blocks[index].address, [&] {
    return unet_.blocks_[index](join, sums, part_inputs(output_shape), layer_, features_);
  });
  if (known.empty()) {
    features_.derive(node - 1, {sums.conv1, sums.skip});
  }
  return output;
}

at::Tensor Evaluation::compute_input(NodeId node) {
  const Needs needs = needs_of(node);
  at::Tensor h;
  if (needs.input) {
    h = needs.trunk < 0 ? laid_out(inputs_.x) : trunk_from(needs.trunk);
  }
  enter(topology_.blocks[static_cast<size_t>(node)]);
  h = run_block(node, needs, std::move(h));
  h = add_control(std::move(h), inputs_.control.input, topology_.block(node).number);
  if (!hooks_.hooks_input_blocks()) {
    return h;
  }
  h = hooks_.input_block(h.contiguous());
  trunks_[static_cast<size_t>(node)] = laid_out(hooks_.input_block_after_skip(h));
  return laid_out(h);
}

at::Tensor Evaluation::trunk_after_input(NodeId node) {
  const at::Tensor skip = value(node);
  at::Tensor& trunk = trunks_[static_cast<size_t>(node)];
  if (!trunk.defined()) {
    trunk = skip;
    if (hooks_.hooks_input_blocks()) {  // an inherited block: its skip is stored, the hook behind it still acts
      enter(topology_.blocks[static_cast<size_t>(node)]);
      trunk = laid_out(hooks_.input_block_after_skip(own_copy(skip)));
    }
  }
  return trunk;
}

at::Tensor Evaluation::trunk_from(NodeId node) {
  return topology_.is_input(node) ? trunk_after_input(node) : value(node);
}

at::Tensor Evaluation::compute_middle(NodeId node) {
  const Needs needs = needs_of(node);
  at::Tensor h = needs.input ? trunk_from(needs.trunk) : at::Tensor();
  enter(topology_.blocks[static_cast<size_t>(node)]);
  h = run_block(node, needs, std::move(h));
  h = add_control(std::move(h), inputs_.control.middle, 0);
  return hooks_.hooks_middle_block() ? laid_out(hooks_.middle_block(h.contiguous(), emb_)) : h;
}

at::Tensor Evaluation::compute_output(NodeId node) {
  const BlockTopology& block = topology_.block(node);
  const Needs needs = needs_of(node);
  at::Tensor h;
  at::Tensor skip;
  if (needs.input) {
    h = trunk_from(needs.trunk);
    skip = value(needs.skip);
  }
  const at::Tensor target = needs.target < 0 ? at::Tensor() : value(needs.target);
  const at::IntArrayRef output_shape = target.defined() ? target.sizes() : at::IntArrayRef();
  enter(block);
  if (!h.defined()) {
    return run_block(node, needs, std::move(h), output_shape);
  }
  if (joins_held(node, h)) {
    const HeldJoin halves{std::move(h), add_control(std::move(skip), inputs_.control.output, block.number)};
    drop_inputs(node);
    return run_joined(node, halves, output_shape);
  }
  h = join(block, std::move(h), std::move(skip));
  drop_inputs(node);
  return run_block(node, needs, std::move(h), output_shape);
}

void Evaluation::drop_inputs(NodeId node) {
  const auto consumed = static_cast<size_t>(topology_.block(node).skip);
  if (!topology_.is_input(node - 1)) {
    values_[static_cast<size_t>(node - 1)].reset();
  }
  values_[consumed].reset();
  trunks_[consumed].reset();
}

at::Tensor Evaluation::join(const BlockTopology& block, at::Tensor h, at::Tensor skip) {
  skip = add_control(std::move(skip), inputs_.control.output, block.number);
  if (hooks_.hooks_output_blocks()) {
    // Copies: hooks such as FreeU write into both, and both may be asked for again or be stored features.
    auto [trunk, side] = hooks_.output_block(own_copy(h), own_copy(skip));
    h = laid_out(trunk);
    if (!side.defined()) {  // the hook joined the two itself
      return h;
    }
    skip = laid_out(side);
  }
  if (features_.inherits()) {
    check_join(block, h, skip);
  }
  return at::cat({h, skip}, 1);
}

void Evaluation::check_join(const BlockTopology& block, const at::Tensor& h, const at::Tensor& skip) const {
  if (h.size(2) != skip.size(2) || h.size(3) != skip.size(3)) {
    std::ostringstream what;
    what << block.address << " joins " << h.sizes() << " with " << skip.sizes();
    throw InheritedFeatureMisfit(what.str());
  }
}

Needs Evaluation::needs_of(NodeId node) const {
  return asdm::needs_of(topology_, node, {features_.sites(), features_.whole_outputs()});
}

at::Tensor Evaluation::add_control(at::Tensor h, const std::vector<at::Tensor>& residuals, int64_t ordinal) const {
  const auto count = static_cast<int64_t>(residuals.size());
  if (ordinal >= count) {
    return h;
  }
  const at::Tensor& residual = residuals[static_cast<size_t>(count - 1 - ordinal)];
  if (!residual.defined()) {
    return h;
  }
  if (!at::is_expandable_to(residual.sizes(), h.sizes())) {
    std::ostringstream what;
    what << "control residual " << residual.sizes() << " does not fit " << h.sizes()
         << " and is left out, as in the host";
    warn_once(what.str());
    return h;
  }
  return h + residual.to(h.scalar_type());
}

}  // namespace asdm
