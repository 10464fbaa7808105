#include "native/planning/plan_loss.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace asdm {
namespace {

/// Of what a computed value missed more than the one before it, the part that a forecast takes for a step and repeats:
/// between 0, which has 3x plans of 20 steps lose up to 12 dB to forecasts, and 1, which has none gain.
constexpr double kTakenForStep = 0.5;

/// The last evaluation before `i` that computed `cut`. `i` is not the first, which computes all.
size_t computed_before(const Cuts& chosen, size_t i, int64_t cut) {
  size_t before = i - 1;
  while (chosen[before] >= 0 && chosen[before] <= cut) {
    --before;
  }
  return before;
}

}  // namespace

double mean_share(const std::vector<CutCost>& cuts, const Cuts& chosen) {
  double sum = 0.0;
  for (const int64_t cut : chosen) {
    sum += cut < 0 ? 1.0 : cuts[static_cast<size_t>(cut)].share;
  }
  return sum / static_cast<double>(chosen.size());
}

PlanLoss::PlanLoss(const LossTable& table, const std::vector<CutCost>& cuts,
                   const std::vector<CarriedEvaluation>& evaluations, ValueForm value)
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

double PlanLoss::loss(const Cuts& chosen) {
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

std::vector<double> PlanLoss::parts(const Cuts& chosen) {
  const double all = settle(chosen);
  std::vector<double> slopes(chosen.size());
  std::transform(weights_.begin(), weights_.end(), pulls_.begin(), slopes.begin(), std::multiplies<>());
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

double PlanLoss::settle(const Cuts& chosen) {
  const double now = loss(chosen);
  settled_ = misses_;
  pulls_.assign(chosen.size(), 0.0);
  for (size_t i = 0; i < chosen.size(); ++i) {
    for (size_t j = 0; j < chosen.size(); ++j) {
      pulls_[i] += weights_[j] * misses_[j] * likeness(chosen, i, j);
    }
  }
  return now;
}

double PlanLoss::loss_added(Cuts& chosen, size_t evaluation, int64_t before) {
  misses_ = settled_;
  follow(chosen, evaluation);
  weighed_.resize(chosen.size());
  changed_.clear();
  for (size_t i = 0; i < chosen.size(); ++i) {
    weighed_[i] = weights_[i] * misses_[i];
    if (i == evaluation || misses_[i] != settled_[i]) {
      changed_.push_back(i);
      weighed_[i] *= 0.5;  // each pair of those that changed is met from both sides
    }
  }
  double added = 0.0;
  for (const size_t i : changed_) {
    double others = 0.0;
    for (size_t j = 0; j < chosen.size(); ++j) {
      others += weighed_[j] * likeness(chosen, i, j);
    }
    added += 4.0 * weighed_[i] * others;
  }
  const int64_t now = std::exchange(chosen[evaluation], before);
  for (const size_t i : changed_) {
    double among = 0.0;
    for (const size_t j : changed_) {
      among += weights_[j] * settled_[j] * likeness(chosen, i, j);
    }
    added -= weights_[i] * settled_[i] * (2.0 * pulls_[i] - among);
  }
  chosen[evaluation] = now;
  return added;
}

void PlanLoss::follow(const Cuts& chosen, size_t first) {
  const size_t count = chosen.size();
  for (size_t i = first; i < count; ++i) {
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

Since PlanLoss::since(size_t i, size_t before) const {
  return {.sigma = run_[before].sigma,
          .renewed = run_[i].renewed.empty() ? 0.0 : run_[i].renewed[before],
          .strayed = run_[i].offset - run_[before].offset};
}

}  // namespace asdm
