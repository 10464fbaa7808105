#include "native/inheritance/run.h"

#include <algorithm>
#include <string>
#include <utility>

#include "native/base/error.h"

namespace asdm {
namespace {

/// The cond chunk of a batch of `rows` that holds one cond and one uncond chunk and nothing else.
std::optional<RowRange> cond_rows(const std::vector<int64_t>& roles, size_t chunks, int64_t rows) {
  const bool pair =
      chunks == 2 && roles.size() == 2 && std::min(roles[0], roles[1]) == 0 && std::max(roles[0], roles[1]) == 1;
  if (!pair || rows == 0) {
    return std::nullopt;
  }
  return RowRange{roles[0] == 0 ? 0 : rows / 2, rows / 2};
}

at::Tensor first_chunk(const at::Tensor& batch, size_t chunks) {
  return batch.narrow(0, 0, batch.size(0) / static_cast<int64_t>(chunks));
}

}  // namespace

Run::Run(std::optional<InheritanceSettings> settings, const std::vector<double>& sigmas, NodeCount nodes)
    : settings_(std::move(settings)), nodes_(nodes) {
  for (std::vector<int64_t>* counts : {&record_.computed_nodes, &record_.inherited_nodes, &record_.forecast_nodes}) {
    counts->resize(static_cast<size_t>(nodes.nodes));
  }
  if (settings_) {
    decisions_.emplace(*settings_, sigmas);
  }
}

void Run::begin_evaluation(double sigma, std::optional<double> measured) {
  ++now_.evaluation;
  now_.sigma = sigma;
  if (now_.evaluation > 0 && first_call_) {
    measured.reset();  // the evaluation before made no call here: what it decided was not done
  }
  pass_ = -1;
  first_call_ = true;
  called_bytes_ = 0;
  store_.begin_evaluation();
  rest_refused_ = std::exchange(next_refused_, {});
  ++record_.evaluations;
  ++record_.full;
  decision_ = {};
  EvaluationRecord entry{.sigma = sigma, .sites = {}, .actions = {}};
  for (NodeId block = 0; block < nodes_.blocks; ++block) {
    entry.actions.emplace(block, NodeAction::kNotRun);
  }
  if (decisions_) {
    for (const NodeId site : decisions_->sites()) {
      entry.actions.emplace(site, NodeAction::kNotRun);
    }
    settle(decisions_->begin(sigma, measured));
  }
  record_.log.push_back(std::move(entry));
}

void Run::begin_fresh_calls(const std::string& reason) {
  if (!record_.log.empty() && !record_.log.back().sites.empty()) {
    next_refused_ = reason;
  }
}

void Run::settle(Decision decision) {
  decision_ = std::move(decision);
  if (decision_.kind == Decision::Kind::kInherit) {
    ++record_.inherited;
    --record_.full;
  }
}

std::string Run::obstacle(const FeatureGroup& group, NodeId node) const {
  const auto found = group.nodes.find(node);
  if (found == group.nodes.end() || found->second.empty()) {
    return "site was not computed";
  }
  return obstacle(found->second.newest());
}

std::string Run::control_obstacle(const CallOrder& order) const {
  const bool has_control = order.stored != nullptr && order.stored->control_taken;
  return has_control ? obstacle(*order.stored->control_taken) : "no stored residuals of ControlNets";
}

std::string Run::obstacle(const EvaluationPoint& taken) const {
  if (rises(taken.sigma, now_.sigma)) {
    return "sigma rose";
  }
  if (settings_->max_age > 0 && now_.evaluation - taken.evaluation > settings_->max_age) {
    return "older than max_age";
  }
  return {};
}

void Run::refuse_call(const std::string& reason) {
  refuse(reason);
  refuse_rest("another call of the evaluation was computed");
}

void Run::inherit(CallOrder& order) {
  if (!rest_refused_.empty()) {
    refuse(rest_refused_);
    return;
  }
  std::set<NodeId> sites(decision_.sites.begin(), decision_.sites.end());
  std::erase_if(sites, [&](NodeId site) { return left_out_.contains(site); });
  const bool control = sites.erase(settings_->control) > 0;  // the host's, not the UNet's
  if (sites.contains(settings_->guidance) && !order.cond_rows) {
    refuse("guidance needs cond and uncond, and nothing else, in one call");
    sites.erase(settings_->guidance);
  }
  if (order.stored == nullptr && !sites.empty()) {
    refuse_call(store_.contains(order.keys) ? "feature shape changed"  // of one chunk of the batch and not of another
                                            : "no stored features for this conditioning and shape");
    return;
  }
  for (const NodeId site : sites) {
    if (const std::string reason = obstacle(*order.stored, site); !reason.empty()) {
      refuse_call(reason);
      return;
    }
  }
  if (const std::string reason = control ? control_obstacle(order) : ""; !reason.empty()) {
    refuse(reason);
  } else {
    order.control = control;
  }
  order.sites = std::move(sites);
}

void Run::open_cuts(CallOrder& order) const {
  if (order.stored == nullptr || !rest_refused_.empty()) {
    return;
  }
  for (const CutProbe& candidate : settings_->cuts) {
    if (obstacle(*order.stored, candidate.cut).empty() && order.stored->nodes.contains(candidate.probe)) {
      order.open_cuts.insert(candidate.cut);
    }
  }
}

int64_t Run::declare(int64_t bytes) {
  const int64_t needed = std::max(largest_bytes_, called_bytes_ + bytes);
  declared_bytes_ = std::max(declared_bytes_, needed);
  store_.set_limit(declared_bytes_);
  return needed;
}

CallFeatures Run::begin_call(const std::vector<std::string>& keys, const std::vector<int64_t>& roles, int64_t rows,
                             int64_t bytes) {
  if (now_.evaluation < 0 || !decisions_ || !decisions_->ever_inherits() || keys.empty()) {
    return {};
  }
  called_bytes_ += bytes;
  largest_bytes_ = std::max(largest_bytes_, called_bytes_);
  store_.ask(keys);
  CallOrder order;
  order.keys = keys;
  order.bytes = bytes;
  order.now = now_;
  order.stored = store_.find(keys, bytes);
  order.wanted = decisions_->sites();
  std::erase_if(order.wanted, [&](NodeId site) { return left_out_.contains(site); });
  order.whole_outputs = settings_->whole_outputs;
  order.storage = settings_->values.storage;
  order.cuts = settings_->cuts;
  order.threshold = settings_->time_steps.threshold;
  order.guidance = settings_->guidance;
  order.wants_control = decisions_->sites().contains(settings_->control);
  order.cond_rows = cond_rows(roles, keys.size(), rows);
  if (decision_.kind == Decision::Kind::kInherit) {
    inherit(order);
  } else if (decision_.kind == Decision::Kind::kSearch) {
    open_cuts(order);
  }
  return CallFeatures(std::move(order));
}

void Run::check_nodes(const CallFeatures& call) const {
  for (const auto* nodes : {&call.ledger().computed, &call.ledger().inherited, &call.ledger().forecast}) {
    for (const NodeId node : *nodes) {
      if (node < 0 || node >= nodes_.nodes) {
        throw internal_fault("Run::end_call", "a call of a UNet of " + std::to_string(nodes_.nodes) +
                                                  " nodes is due, node " + std::to_string(node) + " came");
      }
    }
  }
}

void Run::end_call(CallFeatures& call, const at::Tensor& prediction) {
  check_nodes(call);
  ++record_.calls;
  const auto book = [](const std::vector<NodeId>& nodes, std::vector<int64_t>& counts) {
    for (const NodeId node : nodes) {
      ++counts[static_cast<size_t>(node)];
    }
  };
  book(call.ledger().computed, record_.computed_nodes);
  book(call.ledger().inherited, record_.inherited_nodes);
  book(call.ledger().forecast, record_.forecast_nodes);
  for (const std::string& reason : call.ledger().refusals) {
    refuse(reason);
  }
  if (decision_.kind == Decision::Kind::kSearch && !call.keys().empty()) {
    // The first call decides, the others of this evaluation obey.
    settle(call.chosen_cut() ? Decision{Decision::Kind::kInherit, {*call.chosen_cut()}} : Decision{});
  }
  if (measures() && first_call_ && !call.keys().empty() && prediction.defined() && !call.inherits()) {
    decisions_->computed(first_chunk(prediction, call.keys().size()));
  }
  first_call_ = false;
  if (!record_.log.empty()) {
    log(call);
  }
  if (!call.keys().empty()) {
    store(call);
  }
}

void Run::log(const CallFeatures& call) {
  EvaluationRecord& entry = record_.log.back();
  const auto mark = [&](const std::vector<NodeId>& nodes, NodeAction action) {
    for (const NodeId node : nodes) {
      const auto found = entry.actions.find(node);
      const bool kept =
          found == entry.actions.end() || (action == NodeAction::kComputed && found->second != NodeAction::kNotRun);
      if (!kept) {
        found->second = action;
      }
    }
  };
  mark(call.ledger().computed, NodeAction::kComputed);
  mark(call.ledger().inherited, NodeAction::kInherited);
  mark(call.ledger().forecast, NodeAction::kForecast);
  std::set<NodeId> sites(entry.sites.begin(), entry.sites.end());
  std::copy_if(decision_.sites.begin(), decision_.sites.end(), std::inserter(sites, sites.end()),
               [&](NodeId site) { return site == settings_->control ? call.inherits_control() : call.holds(site); });
  entry.sites.assign(sites.begin(), sites.end());
}

void Run::store(const CallFeatures& call) {
  const bool ran_control = call.wants_control() && !call.inherits_control() && !call.holds(nodes_.blocks);
  if (call.ledger().kept.empty() && call.ledger().derived.empty() && !ran_control) {
    return;
  }
  // What was made of held values lies beside them and needs no room of its own.
  const bool takes_features = !call.ledger().kept.empty() || ran_control;
  const std::shared_ptr<FeatureGroup> group =
      takes_features ? store_.open(call.keys(), call.bytes()) : store_.find(call.keys(), call.bytes());
  if (group == nullptr) {
    return;
  }
  if (group->entered != call.ledger().entered && !call.inherits()) {
    group->derived.clear();
    group->nodes.clear();  // a hook resized something: what came before fits no more
    group->entered = call.ledger().entered;
  }
  for (const auto& [node, kept] : call.ledger().kept) {
    group->nodes.try_emplace(node, settings_->values).first->second.push(kept, now_);
    group->derived.erase(node);
  }
  for (const auto& [node, tensors] : call.ledger().derived) {
    group->derived.insert_or_assign(node, tensors);
  }
  if (ran_control) {
    group->control_taken = now_;
    group->control.clear();
    for (const auto& [place, residual] : call.ledger().control) {
      group->control[place].push(KeptValue::without_copy(residual), now_);
    }
  }
  record_.peak_cache_bytes = std::max(record_.peak_cache_bytes, store_.bytes());
}

std::vector<std::vector<NodeId>> Run::plan() const {
  std::vector<std::vector<NodeId>> evaluations;
  for (const EvaluationRecord& entry : record_.log) {
    evaluations.push_back(entry.sites);
  }
  return evaluations;
}

}  // namespace asdm
