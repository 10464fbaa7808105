#include "native/planning/least_loss.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "native/base/error.h"
#include "native/planning/liveness.h"

namespace asdm {
namespace {

constexpr int kMostSweeps = 8;
constexpr int kHalvings = 16;
/// Neighbours that a full evaluation may change places with at once.
constexpr size_t kExchangeReach = 3;

using Cuts = std::vector<int64_t>;

/// Prices plans and improves them. A cut's index is higher the more of the UNet it leaves alive; -1 stands for all.
class Prices {
 public:
  Prices(const LossTable& table, const std::vector<CutCost>& cuts, const std::vector<CarriedEvaluation>& evaluations)
      : table_(table), cuts_(cuts), run_(evaluations), misses_(evaluations.size()) {
    const size_t count = run_.size();
    for (const CarriedEvaluation& evaluation : run_) {
      weights_.push_back(std::copysign(std::hypot(evaluation.carry, table.lasting), evaluation.carry));
    }
    likeness_.resize(count * count);
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < count; ++j) {
        likeness_[i * count + j] = std::exp(-std::abs(ln_noise(run_[i].sigma) - ln_noise(run_[j].sigma)) / table.reach);
      }
    }
    // From the first evaluation on: (evaluation, evaluation before, cut) -> miss.
    table_misses_.resize(count * count * cuts_.size());
    for (size_t i = 0; i < count; ++i) {
      for (size_t before = 0; before < i; ++before) {
        for (size_t cut = 0; cut < cuts_.size(); ++cut) {
          table_misses_[(i * count + before) * cuts_.size() + cut] =
              table.miss(cuts_[cut].depth, run_[i].sigma, run_[before].sigma);
        }
      }
    }
  }

  /// Mean square of the final latent. What an evaluation inherits was computed by the last one that computed it, which
  /// may have inherited deeper parts itself: then what that missed lives on in it.
  double loss(const Cuts& chosen) {
    const size_t count = run_.size();
    double sum = 0.0;
    for (size_t i = 0; i < count; ++i) {
      misses_[i] = 0.0;
      if (chosen[i] < 0) {
        continue;
      }
      size_t before = i - 1;
      while (chosen[before] >= 0 && chosen[before] <= chosen[i]) {
        --before;
      }
      const double own = table_misses_[(i * count + before) * cuts_.size() + static_cast<size_t>(chosen[i])];
      misses_[i] = own + misses_[before];
    }
    for (size_t i = 0; i < count; ++i) {
      const double weight = weights_[i] * misses_[i];
      if (weight == 0.0) {
        continue;
      }
      sum += weight * weight;
      double others = 0.0;
      for (size_t j = 0; j < i; ++j) {
        const double kin = chosen[i] == chosen[j] ? 1.0 : table_.kinship;
        others += weights_[j] * misses_[j] * likeness_[i * count + j] * kin;
      }
      sum += 2.0 * weight * others;
    }
    return sum;
  }

  [[nodiscard]] double share(const Cuts& chosen) const {
    double sum = 0.0;
    for (const int64_t cut : chosen) {
      sum += cut < 0 ? 1.0 : cuts_[static_cast<size_t>(cut)].share;
    }
    return sum / static_cast<double>(chosen.size());
  }

  /// Puts each cut in turn at `evaluation` of `chosen`; one stays where `stays(cut)` says so.
  void try_cuts(Cuts& chosen, size_t evaluation, const auto& stays) {
    for (int64_t cut = -1; cut < std::ssize(cuts_); ++cut) {
      const int64_t old = std::exchange(chosen[evaluation], cut);
      if (!stays(cut)) {
        chosen[evaluation] = old;
      }
    }
  }

  /// Changes one evaluation after the other, and exchanges neighbours, while loss + price * share falls.
  void descend(Cuts& chosen, double price) {
    double best = loss(chosen) + price * share(chosen);
    const auto improves = [&](const Cuts& changed) {
      const double now = loss(changed) + price * share(changed);
      return now < best * (1.0 - 1e-9) ? (best = now, true) : false;
    };
    bool better = true;
    for (int sweep = 0; better && sweep < kMostSweeps; ++sweep) {
      better = false;
      for (size_t i = 1; i < chosen.size(); ++i) {
        try_cuts(chosen, i, [&](int64_t) {
          const bool stays = improves(chosen);
          better = better || stays;
          return stays;
        });
        for (size_t j = i + 1; j < std::min(chosen.size(), i + 1 + kExchangeReach); ++j) {
          std::swap(chosen[i], chosen[j]);
          improves(chosen) ? void(better = true) : std::swap(chosen[i], chosen[j]);
        }
      }
    }
  }

  /// Spends what is left of `allowed` where it helps most.
  void fill(Cuts& chosen, double allowed) {
    for (bool better = true; better;) {
      better = false;
      const double now = loss(chosen);
      double most = 0.0;
      std::pair<size_t, int64_t> change;
      for (size_t i = 1; i < chosen.size(); ++i) {
        try_cuts(chosen, i, [&](int64_t cut) {
          const double gain = share(chosen) <= allowed ? now - loss(chosen) : 0.0;
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

 private:
  const LossTable& table_;
  const std::vector<CutCost>& cuts_;
  const std::vector<CarriedEvaluation>& run_;
  std::vector<double> weights_;  ///< of a miss in each evaluation
  std::vector<double> misses_;
  std::vector<double> likeness_;
  std::vector<double> table_misses_;
};

/// Every so-many-th evaluation full and one cut at all others, the deepest that `allowed` lets: where the search
/// starts.
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

}  // namespace

double predicted_loss(const LossTable& table, const std::vector<CutCost>& cuts,
                      const std::vector<CarriedEvaluation>& evaluations, const std::vector<int64_t>& chosen) {
  return Prices(table, cuts, evaluations).loss(chosen);
}

std::vector<int64_t> least_loss_cuts(const LossTable& table, const std::vector<CutCost>& cuts,
                                     const std::vector<CarriedEvaluation>& evaluations, double share) {
  Prices prices(table, cuts, evaluations);
  Cuts best(evaluations.size(), -1);
  double least = std::numeric_limits<double>::infinity();
  const auto keep = [&](Cuts plan) {
    prices.fill(plan, share);
    if (const double loss = prices.loss(plan); loss < least) {
      least = loss;
      best = std::move(plan);
    }
  };
  if (share >= 1.0) {
    return best;
  }
  for (Cuts& plan : even_plans(cuts, evaluations.size(), share)) {
    keep(std::move(plan));
  }
  if (!std::isfinite(least)) {  // nothing that is this cheap; the cheapest there is
    std::fill(best.begin() + 1, best.end(), 0);
    return best;
  }
  // The price of work at which the plan of least loss + price * share just fits.
  double low = least * 1e-3;
  double high = least * 1e3;
  for (int halving = 0; halving < kHalvings; ++halving) {
    const double price = std::sqrt(low * high);
    Cuts plan = best;
    prices.descend(plan, price);
    const bool fits = prices.share(plan) <= share;
    (fits ? high : low) = price;
    if (fits) {
      keep(std::move(plan));
    }
  }
  return best;
}

LeastLossPlan least_loss_plan(const LossTable& table, const Topology& topology,
                              const std::vector<CarriedEvaluation>& evaluations, const CallSize& size, double speedup) {
  if (evaluations.empty() || !(speedup >= 1.0)) {
    throw invalid_input("speed", "1 or more, in a run of an evaluation or more", std::to_string(speedup));
  }
  std::vector<CutCost> cuts = {{.depth = 0.0, .share = 0.0}};
  std::vector<NodeId> sites = {topology.whole()};
  const auto full = static_cast<double>(full_macs(topology, size));
  const auto outputs = static_cast<double>(topology.whole() - topology.first_output());
  for (NodeId cut = topology.whole() - 2; cut >= topology.first_output(); --cut) {
    const double share = static_cast<double>(live_macs(topology, live_nodes(topology, {cut}, {}), size)) / full;
    if (share > cuts.back().share && share < 1.0) {
      cuts.push_back({.depth = static_cast<double>(topology.whole() - 1 - cut) / outputs, .share = share});
      sites.push_back(cut);
    }
  }
  const std::vector<int64_t> chosen = least_loss_cuts(table, cuts, evaluations, 1.0 / speedup);
  Prices prices(table, cuts, evaluations);
  LeastLossPlan plan{.sites = {}, .share = prices.share(chosen), .psnr = 0.0};
  plan.psnr = -10.0 * std::log10(prices.loss(chosen) / (table.peak * table.peak));
  for (const int64_t cut : chosen) {
    plan.sites.push_back(cut < 0 ? std::vector<std::string>()
                                 : std::vector{topology.node(sites[static_cast<size_t>(cut)]).address});
  }
  return plan;
}

}  // namespace asdm
