#include "native/planning/plan_grid.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "native/base/error.h"
#include "native/inheritance/evaluation_point.h"
#include "native/planning/liveness.h"
#include "native/planning/presets.h"
#include "native/planning/resolved_settings.h"
#include "native/planning/sites.h"

namespace asdm {
namespace {

/// The row that `site` names; -1 where it names none. The last block's is the node of the whole UNet.
NodeId row_of(const Topology& topology, std::string_view site) {
  for (NodeId node = 0; node <= topology.whole(); ++node) {
    if (node != topology.whole() - 1 && topology.node(node).address == site) {
      return node;
    }
  }
  return -1;
}

bool contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

/// The letter of block `block` in a call.
char action_of(const Topology& topology, const NodesOfCall& call, NodeId block) {
  const bool is_whole = block == topology.whole() - 1 && contains(call.inherited, topology.whole());
  if (is_whole || contains(call.inherited, block)) {
    return 'i';
  }
  if (!contains(call.computed, block)) {
    return '-';
  }
  const bool in_part = std::any_of(call.inherited.begin(), call.inherited.end(), [&](NodeId node) {
    return node > topology.whole() && topology.node(node).block == block;
  });
  return in_part ? 'p' : 'c';
}

/// Follows a plan as a Run does, without tensors.
class Follower {
 public:
  Follower(const Topology& topology, const InheritanceSettings& settings)
      : topology_(topology), settings_(settings), wanted_(sites_of(settings)) {}

  struct Call {
    NodesOfCall nodes;
    bool is_refreshed = false;
    bool is_guided = false;
  };

  /// `sigma`: 0 where the plan knows none.
  Call next(const std::vector<NodeId>& given, double sigma) {
    std::set<NodeId> sites(given.begin(), given.end());
    sites.erase(topology_.control());
    const bool is_held = std::all_of(sites.begin(), sites.end(), [&](NodeId site) { return holds(site, sigma); });
    Call call{.nodes = live_nodes(topology_, is_held ? sites : std::set<NodeId>(), settings_.whole_outputs),
              .is_refreshed = !is_held,
              .is_guided = is_held && sites.contains(topology_.guidance())};
    if (!call.is_guided) {  // half a batch keeps nothing
      keep(call.nodes, sigma);
    }
    return call;
  }

 private:
  /// Whether `site` was computed, and not with less noise than there is now.
  [[nodiscard]] bool holds(NodeId site, double sigma) const {
    const auto found = held_.find(site);
    return found != held_.end() && (found->second <= 0.0 || sigma <= 0.0 || !rises(found->second, sigma));
  }

  void keep(const NodesOfCall& nodes, double sigma) {
    for (const NodeId node : nodes.computed) {
      if (wanted_.contains(node)) {
        held_[node] = sigma;
      }
    }
    if (contains(nodes.computed, topology_.whole()) && wanted_.contains(topology_.guidance())) {
      held_[topology_.guidance()] = sigma;
    }
  }

  const Topology& topology_;
  const InheritanceSettings& settings_;
  std::set<NodeId> wanted_;
  std::map<NodeId, double> held_;  ///< sigma at which each was computed
};

GridColumn column_of(const Topology& topology, const PlanEvaluation& evaluation, const Follower::Call& call) {
  GridColumn column{.sigma = evaluation.sigma, .actions = {}, .sites = {}, .others = {}};
  column.is_refreshed = call.is_refreshed;
  for (NodeId block = topology.whole() - 1; block >= 0; --block) {
    column.actions += action_of(topology, call.nodes, block);
  }
  for (const std::string& site : evaluation.sites) {
    (row_of(topology, site) < 0 ? column.others : column.sites).push_back(site);
  }
  return column;
}

/// What of `sites` a call takes from the store.
std::vector<NodeId> live_sites(const Topology& topology, const UNetSpec& spec, const std::vector<std::string>& sites) {
  if (sites.empty()) {
    return {};
  }
  const ResolvedSites resolved = resolve_sites(topology, spec, SiteLevel::kBlock, join(sites));
  const std::vector<NodeId>& nodes = resolved.phases.front().sites;
  return live_nodes(topology, {nodes.begin(), nodes.end()}, resolved.whole_outputs).inherited;
}

}  // namespace

PlanGrid plan_grid(const Plan& plan, const Topology& topology, const UNetSpec& spec, const CallSize& size) {
  const InheritanceSettings settings = settings_of(plan, topology, spec);
  PlanGrid grid;
  for (NodeId block = topology.whole() - 1; block >= 0; --block) {
    const std::string& address = topology.node(block).address;
    grid.rows.push_back({address, block == topology.whole() - 1 ? topology.node(topology.whole()).address : address});
  }
  Follower follower(topology, settings);
  double done = 0.0;
  for (size_t i = 0; i < plan.evaluations.size(); ++i) {
    const Follower::Call call = follower.next((*settings.plan)[i], plan.evaluations[i].sigma);
    done += static_cast<double>(live_macs(topology, call.nodes, size)) / (call.is_guided ? 2.0 : 1.0);
    grid.columns.push_back(column_of(topology, plan.evaluations[i], call));
  }
  grid.share = done / static_cast<double>(full_macs(topology, size)) / static_cast<double>(plan.evaluations.size());
  return grid;
}

Plan painted(Plan plan, const Topology& topology, const UNetSpec& spec, size_t index, const std::string& site,
             bool inherits) {
  const std::string at = "plan.evaluations[" + std::to_string(index) + "]";
  if (index >= plan.evaluations.size()) {
    throw invalid_input(at, "one of " + std::to_string(plan.evaluations.size()) + " evaluations", "another");
  }
  const NodeId row = row_of(topology, site);
  if (row < 0) {
    throw invalid_input(at, "the site of a block", "'" + site + "'");
  }
  std::vector<std::string>& sites = plan.evaluations[index].sites;
  const bool was_named = std::erase(sites, site) > 0;
  if (!inherits && !was_named && contains(live_sites(topology, spec, sites), row)) {
    throw invalid_input(at, "a site '" + site + "' to take away", "others, which the text alone can change");
  }
  if (!inherits) {
    return plan;
  }
  sites.push_back(site);
  if (!contains(live_sites(topology, spec, sites), row)) {
    std::erase_if(sites, [&](const std::string& other) { return row_of(topology, other) > row; });
  }
  const std::vector<NodeId> live = live_sites(topology, spec, sites);
  if (!contains(live, row)) {
    throw invalid_input(at, "a block that is computed", site + ", which other sites of the evaluation stand in for");
  }
  std::erase_if(sites, [&](const std::string& other) {
    const NodeId node = row_of(topology, other);
    return node >= 0 && !contains(live, node);
  });
  return plan;
}

Plan begun_plan(const Topology& topology, const UNetSpec& spec, int64_t steps) {
  if (steps < 1) {
    throw invalid_input("steps", "an integer from 1", std::to_string(steps));
  }
  Plan plan;
  plan.family = to_string(spec.family);
  plan.steps = steps;
  const std::vector<std::string> sites = site_texts(topology, automatic_sites(topology, spec, SiteLevel::kBlock), {});
  for (int64_t i = 0; i < steps; ++i) {
    plan.evaluations.push_back({.sigma = 0.0, .sites = i % kNewInterval == 0 ? std::vector<std::string>() : sites});
  }
  return plan;
}

}  // namespace asdm
