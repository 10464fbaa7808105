#include "native/planning/least_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/base/error.h"
#include "native/planning/liveness.h"

namespace asdm {
namespace {

constexpr int kMostSweeps = 8;
constexpr int kHalvings = 16;
/// Neighbours that a full evaluation may change places with at once.
constexpr size_t kExchangeReach = 3;
/// Even plans, those of least loss, in which what is left of the work is spent.
constexpr size_t kFilled = 24;
/// Of what a computed value missed more than the one before it, the part that a forecast takes for a step and repeats:
/// between 0, which has 3x plans of 20 steps lose up to 12 dB to forecasts, and 1, which has none gain.
constexpr double kTakenForStep = 0.5;
/// Of the loss of held values, what forecasts must lose less than: predictions are not that good.
constexpr double kClearlyLess = 0.9;

using Cuts = std::vector<int64_t>;

double mean_share(const std::vector<CutCost>& cuts, const Cuts& chosen) {
  double sum = 0.0;
  for (const int64_t cut : chosen) {
    sum += cut < 0 ? 1.0 : cuts[static_cast<size_t>(cut)].share;
  }
  return sum / static_cast<double>(chosen.size());
}

/// Prices plans and improves them. A cut's index is higher the more of the UNet it leaves alive; -1 stands for all.
class Prices {
 public:
  Prices(const LossTable& table, const std::vector<CutCost>& cuts, const std::vector<CarriedEvaluation>& evaluations,
         ValueForm value)
      : table_(table),
        cuts_(cuts),
        run_(evaluations),
        forecasts_(value != ValueForm::kHold),
        misses_(run_.size()),
        from_(run_.size()) {
    const size_t count = run_.size();
    for (const CarriedEvaluation& evaluation : run_) {
      weights_.push_back(std::copysign(std::hypot(evaluation.carry, table.lasting), evaluation.carry));
    }
    likeness_.resize(count * count);
    forecast_shares_.resize(count * count);
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < count; ++j) {
        const double apart = std::abs(ln_noise(run_[i].sigma) - ln_noise(run_[j].sigma));
        likeness_[i * count + j] = std::exp(-apart / table.reach);
        forecast_shares_[i * count + j] = table.forecast_share(apart);
      }
    }
    // From the first evaluation on: (evaluation, evaluation before, cut) -> miss.
    table_misses_.resize(count * count * cuts_.size());
    for (size_t i = 0; i < count; ++i) {
      for (size_t before = 0; before < i; ++before) {
        for (size_t cut = 0; cut < cuts_.size(); ++cut) {
          table_misses_[(i * count + before) * cuts_.size() + cut] =
              table.miss(cuts_[cut].depth, run_[i].sigma, since(i, before));
        }
      }
    }
  }

  /// Mean square of the final latent. What an evaluation inherits was computed by the last one that computed it, which
  /// may have inherited deeper parts itself: then what that missed lives on in it.
  double loss(const Cuts& chosen) {
    follow(chosen);
    double sum = 0.0;
    for (size_t i = 0; i < chosen.size(); ++i) {
      const double weight = weights_[i] * misses_[i];
      if (weight == 0.0) {
        continue;
      }
      sum += weight * weight;
      double others = 0.0;
      for (size_t j = 0; j < i; ++j) {
        others += weights_[j] * misses_[j] * likeness(chosen, i, j);
      }
      sum += 2.0 * weight * others;
    }
    return sum;
  }

  /// Of the loss's root, what each evaluation brings in by its own miss: the derivative by that, times the miss.
  std::vector<double> parts(const Cuts& chosen) {
    const double all = loss(chosen);
    std::vector<double> slopes(chosen.size());
    for (size_t i = 0; i < chosen.size(); ++i) {
      for (size_t j = 0; j < chosen.size(); ++j) {
        slopes[i] += weights_[i] * weights_[j] * misses_[j] * likeness(chosen, i, j);
      }
    }
    std::vector<double> parts(chosen.size());
    for (size_t i = chosen.size(); i-- > 0;) {
      if (chosen[i] >= 0 && all > 0.0) {
        slopes[from_[i].before] += (1.0 + from_[i].step) * slopes[i];
        slopes[from_[i].earlier] -= from_[i].step * slopes[i];
        parts[i] = from_[i].own * slopes[i] / all;
      }
    }
    return parts;
  }

  [[nodiscard]] double share(const Cuts& chosen) const { return mean_share(cuts_, chosen); }

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
  /// What an evaluation's miss is made of: its own, and those that live on in what it inherits.
  struct Sources {
    double own = 0.0;
    size_t before = 0;   ///< the evaluation that computed what it inherits
    size_t earlier = 0;  ///< and the one before, that a forecast looks back on
    double step = 0.0;   ///< of what the former missed more than the latter, the part that is taken for a step
  };

  /// What each evaluation of `chosen` misses.
  void follow(const Cuts& chosen) {
    const size_t count = chosen.size();
    for (size_t i = 0; i < count; ++i) {
      misses_[i] = 0.0;
      if (chosen[i] < 0) {
        continue;
      }
      const size_t before = computed_before(chosen, i, chosen[i]);
      Sources from = {.own = table_misses_[(i * count + before) * cuts_.size() + static_cast<size_t>(chosen[i])],
                      .before = before,
                      .earlier = before};
      if (forecasts_ && before > 0) {
        from.earlier = computed_before(chosen, before, chosen[i]);
        from.own *= forecast_shares_[i * count + from.earlier];
        const auto gap = static_cast<double>(before - from.earlier);
        from.step = kTakenForStep * std::min(1.0, static_cast<double>(i - before) / gap);
        from.step = std::copysign(from.step, misses_[before] - misses_[from.earlier]);
      }
      misses_[i] = from.own + misses_[before] + from.step * (misses_[before] - misses_[from.earlier]);
      from_[i] = from;
    }
  }

  /// The last evaluation before `i` that computed `cut`. `i` is not the first, which computes all.
  [[nodiscard]] static size_t computed_before(const Cuts& chosen, size_t i, int64_t cut) {
    size_t before = i - 1;
    while (chosen[before] >= 0 && chosen[before] <= cut) {
      --before;
    }
    return before;
  }

  /// Correlation of the misses of two evaluations.
  [[nodiscard]] double likeness(const Cuts& chosen, size_t i, size_t j) const {
    return likeness_[i * chosen.size() + j] * (chosen[i] == chosen[j] ? 1.0 : table_.kinship);
  }

  [[nodiscard]] Since since(size_t i, size_t before) const {
    return {.sigma = run_[before].sigma,
            .renewed = run_[i].renewed.empty() ? 0.0 : run_[i].renewed[before],
            .strayed = run_[i].offset - run_[before].offset};
  }

  const LossTable& table_;
  const std::vector<CutCost>& cuts_;
  const std::vector<CarriedEvaluation>& run_;
  bool forecasts_;
  std::vector<double> weights_;  ///< of a miss in each evaluation
  std::vector<double> misses_;
  std::vector<Sources> from_;
  std::vector<double> likeness_;
  std::vector<double> forecast_shares_;
  std::vector<double> table_misses_;
};

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
Priced best_even_plan(Prices& prices, const std::vector<CutCost>& cuts, size_t evaluations, double share) {
  std::vector<Priced> plans;
  for (Cuts& plan : even_plans(cuts, evaluations, share)) {
    plans.push_back({.cuts = std::move(plan)});
    plans.back().loss = prices.loss(plans.back().cuts);
  }
  std::stable_sort(plans.begin(), plans.end(), [](const Priced& a, const Priced& b) { return a.loss < b.loss; });
  plans.resize(std::min(plans.size(), kFilled));
  Priced best;
  for (Priced& plan : plans) {
    prices.fill(plan.cuts, share);
    plan.loss = prices.loss(plan.cuts);
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
  return Prices(table, cuts, evaluations, value).loss(chosen);
}

std::vector<double> loss_parts(const LossTable& table, const std::vector<CutCost>& cuts,
                               const std::vector<CarriedEvaluation>& evaluations, const std::vector<int64_t>& chosen,
                               ValueForm value) {
  return Prices(table, cuts, evaluations, value).parts(chosen);
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
  Prices prices(table, cuts, evaluations, value);
  Priced best = best_even_plan(prices, cuts, evaluations.size(), share);
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
    prices.descend(plan, price);
    const bool fits = prices.share(plan) <= share;
    (fits ? high : low) = price;
    if (!fits) {
      continue;
    }
    prices.fill(plan, share);
    if (const double loss = prices.loss(plan); loss < best.loss) {
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
