#include "native/planning/least_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "native/base/error.h"
#include "native/planning/liveness.h"
#include "native/planning/plan_loss.h"

namespace asdm {
namespace {

constexpr int kMostSweeps = 8;
constexpr int kHalvings = 16;
/// Neighbours that a full evaluation may change places with at once.
constexpr size_t kExchangeReach = 3;
/// Even plans, those of least loss, in which what is left of the work is spent.
constexpr size_t kFilled = 24;
/// Of the loss of held values, what forecasts must lose less than: predictions are not that good.
constexpr double kClearlyLess = 0.9;

/// Puts each cut in turn at `evaluation` of `chosen`; one stays where `stays(cut)` says so.
void try_cuts(const PlanLoss& of, Cuts& chosen, size_t evaluation, const auto& stays) {
  for (int64_t cut = -1; cut < of.cuts(); ++cut) {
    const int64_t old = std::exchange(chosen[evaluation], cut);
    if (!stays(cut)) {
      chosen[evaluation] = old;
    }
  }
}

/// Changes one evaluation after the other, and exchanges neighbours, while loss + price * share falls.
void descend(PlanLoss& of, Cuts& chosen, double price) {
  double settled = of.settle(chosen);
  const auto priced = [&](double loss) { return loss + price * of.share(chosen); };
  double best = priced(settled);
  bool better = true;
  const auto improves = [&](double loss) {
    if (priced(loss) >= best * (1.0 - 1e-9)) {
      return false;
    }
    settled = of.settle(chosen);
    best = priced(settled);
    return better = true;
  };
  for (int sweep = 0; better && sweep < kMostSweeps; ++sweep) {
    better = false;
    for (size_t i = 1; i < chosen.size(); ++i) {
      int64_t before = chosen[i];
      try_cuts(of, chosen, i, [&](int64_t cut) {
        const bool stays = improves(settled + of.loss_added(chosen, i, before));
        before = stays ? cut : before;
        return stays;
      });
      for (size_t j = i + 1; j < std::min(chosen.size(), i + 1 + kExchangeReach); ++j) {
        std::swap(chosen[i], chosen[j]);
        if (!improves(of.loss(chosen))) {
          std::swap(chosen[i], chosen[j]);
        }
      }
    }
  }
}

/// Spends what is left of `allowed` where it helps most.
void fill(PlanLoss& of, Cuts& chosen, double allowed) {
  for (bool better = true; better;) {
    better = false;
    const double now = of.settle(chosen);
    double most = 0.0;
    std::pair<size_t, int64_t> change;
    for (size_t i = 1; i < chosen.size(); ++i) {
      const int64_t before = chosen[i];
      try_cuts(of, chosen, i, [&](int64_t cut) {
        const double gain = of.share(chosen) <= allowed ? -of.loss_added(chosen, i, before) : 0.0;
        if (gain > most * (1.0 + 1e-9) && gain > now * 1e-9) {
          most = gain;
          change = {i, cut};
          better = true;
        }
        return false;
      });
    }
    if (better) {
      chosen[change.first] = change.second;
    }
  }
}

/// Every so-many-th evaluation full and one cut at all others, the deepest that `allowed` lets.
std::vector<Cuts> even_plans(const std::vector<CutCost>& cuts, size_t evaluations, double allowed) {
  std::vector<Cuts> plans;
  for (size_t interval = 2; interval <= evaluations; ++interval) {
    const double full = std::ceil(static_cast<double>(evaluations) / static_cast<double>(interval));
    const double left = (allowed * static_cast<double>(evaluations) - full) / (static_cast<double>(evaluations) - full);
    const auto above = std::find_if(cuts.begin(), cuts.end(), [&](const CutCost& cut) { return cut.share > left; });
    if (above != cuts.begin()) {
      Cuts plan(evaluations, above - cuts.begin() - 1);
      for (size_t i = 0; i < evaluations; i += interval) {
        plan[i] = -1;
      }
      plans.push_back(std::move(plan));
    }
  }
  return plans;
}

struct Priced {
  Cuts cuts;
  double loss = std::numeric_limits<double>::infinity();
};

/// Where the search starts: the even plan of least loss once what is left of `share` was spent; none where even the
/// cheapest takes more.
Priced best_even_plan(PlanLoss& of, const std::vector<CutCost>& cuts, size_t evaluations, double share) {
  std::vector<Priced> plans;
  for (Cuts& plan : even_plans(cuts, evaluations, share)) {
    plans.push_back({.cuts = std::move(plan)});
    plans.back().loss = of.loss(plans.back().cuts);
  }
  std::stable_sort(plans.begin(), plans.end(), [](const Priced& a, const Priced& b) { return a.loss < b.loss; });
  plans.resize(std::min(plans.size(), kFilled));
  Priced best;
  for (Priced& plan : plans) {
    fill(of, plan.cuts, share);
    plan.loss = of.loss(plan.cuts);
    if (plan.loss < best.loss) {
      best = std::move(plan);
    }
  }
  return best;
}

}  // namespace

double predicted_loss(const LossTable& table, const std::vector<CutCost>& cuts,
                      const std::vector<CarriedEvaluation>& evaluations, const std::vector<int64_t>& chosen,
                      ValueForm value) {
  return PlanLoss(table, cuts, evaluations, value).loss(chosen);
}

std::vector<double> loss_parts(const LossTable& table, const std::vector<CutCost>& cuts,
                               const std::vector<CarriedEvaluation>& evaluations, const std::vector<int64_t>& chosen,
                               ValueForm value) {
  return PlanLoss(table, cuts, evaluations, value).parts(chosen);
}

double share_behind(const Topology& topology, NodeId cut, const CallSize& size) {
  return static_cast<double>(live_macs(topology, live_nodes(topology, {cut}, {}), size)) /
         static_cast<double>(full_macs(topology, size));
}

UNetCuts unet_cuts(const Topology& topology, const CallSize& size) {
  UNetCuts cuts{.costs = {{.depth = 0.0, .share = 0.0}}, .nodes = {topology.whole()}};
  const auto outputs = static_cast<double>(topology.whole() - topology.first_output());
  for (NodeId cut = topology.whole() - 2; cut >= topology.first_output(); --cut) {
    const double share = share_behind(topology, cut, size);
    if (share > cuts.costs.back().share && share < 1.0) {
      cuts.costs.push_back({.depth = static_cast<double>(topology.whole() - 1 - cut) / outputs, .share = share});
      cuts.nodes.push_back(cut);
    }
  }
  return cuts;
}

std::vector<int64_t> least_loss_cuts(const LossTable& table, const std::vector<CutCost>& cuts,
                                     const std::vector<CarriedEvaluation>& evaluations, double share, ValueForm value) {
  if (share >= 1.0) {
    return Cuts(evaluations.size(), -1);
  }
  PlanLoss of(table, cuts, evaluations, value);
  Priced best = best_even_plan(of, cuts, evaluations.size(), share);
  if (best.cuts.empty()) {  // nothing that is this cheap; the cheapest there is
    best.cuts.assign(evaluations.size(), 0);
    best.cuts.front() = -1;
    return best.cuts;
  }
  // The price of work at which the plan of least loss + price * share just fits.
  double low = best.loss * 1e-3;
  double high = best.loss * 1e3;
  for (int halving = 0; halving < kHalvings; ++halving) {
    const double price = std::sqrt(low * high);
    Cuts plan = best.cuts;
    descend(of, plan, price);
    const bool fits = of.share(plan) <= share;
    (fits ? high : low) = price;
    if (!fits) {
      continue;
    }
    fill(of, plan, share);
    if (const double loss = of.loss(plan); loss < best.loss) {
      best = {.cuts = std::move(plan), .loss = loss};
    }
  }
  return best.cuts;
}

LeastLossPlan least_loss_plan(const LossTable& table, const Topology& topology,
                              const std::vector<CarriedEvaluation>& evaluations, const CallSize& size, double speedup,
                              bool may_forecast) {
  if (evaluations.empty() || !(speedup >= 1.0)) {
    throw invalid_input("speed", "1 or more, in a run of an evaluation or more", std::to_string(speedup));
  }
  for (size_t i = 0; i < evaluations.size(); ++i) {
    if (const size_t known = evaluations[i].renewed.size(); known != 0 && known != i) {
      throw invalid_input("evaluations[" + std::to_string(i) + "].renewed",
                          "a number for each evaluation before it, or none", std::to_string(known));
    }
  }
  const UNetCuts cuts = unet_cuts(topology, size);
  const double share = 1.0 / speedup;
  ValueForm value = ValueForm::kHold;
  Cuts chosen = least_loss_cuts(table, cuts.costs, evaluations, share, value);
  double loss = predicted_loss(table, cuts.costs, evaluations, chosen, value);
  if (may_forecast) {
    Cuts forecast = least_loss_cuts(table, cuts.costs, evaluations, share, ValueForm::kTaylor1);
    const double loss_so = predicted_loss(table, cuts.costs, evaluations, forecast, ValueForm::kTaylor1);
    if (loss_so < kClearlyLess * loss) {
      value = ValueForm::kTaylor1;
      chosen = std::move(forecast);
      loss = loss_so;
    }
  }
  LeastLossPlan plan{.sites = {}, .value = value, .share = mean_share(cuts.costs, chosen), .psnr = 0.0};
  plan.psnr = -10.0 * std::log10(loss / (table.peak * table.peak));
  for (const int64_t cut : chosen) {
    plan.sites.push_back(cut < 0 ? std::vector<std::string>()
                                 : std::vector{topology.node(cuts.nodes[static_cast<size_t>(cut)]).address});
  }
  return plan;
}

}  // namespace asdm
