#include "native/planning/plan_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "native/base/error.h"
#include "native/inheritance/time_step_mode.h"
#include "native/planning/liveness.h"
#include "native/planning/presets.h"

namespace asdm {
namespace {

/// Those that came out best in the benchmark "tried", from the most even one to the one with the most at the start.
constexpr std::array kModes = {TimeStepMode::kUniform, TimeStepMode::kQuadratic, TimeStepMode::kTriangular};
constexpr int64_t kTenths = 10;
/// Four of 20 evaluations; less changes little.
constexpr int64_t kPhaseStep = 2;
/// A target counts as reached within what times vary.
constexpr double kSpeedMargin = 0.02;

double cut_share(const Topology& topology, NodeId cut, const CallSize& size) {
  return static_cast<double>(live_macs(topology, live_nodes(topology, {cut}, {}), size)) /
         static_cast<double>(full_macs(topology, size));
}

PlanShape with_until(PlanShape shape, int64_t first, int64_t second) {
  shape.until = {std::clamp<int64_t>(first, 0, kTenths), std::clamp<int64_t>(second, 0, kTenths)};
  shape.until[1] = std::max(shape.until[0], shape.until[1]);
  return shape;
}

}  // namespace

PlanSearch::PlanSearch(const Topology& topology, const UNetSpec& spec, std::vector<double> sigmas, const CallSize& size,
                       double target_speedup)
    : sigmas_(std::move(sigmas)), target_(target_speedup) {
  if (sigmas_.empty()) {
    throw invalid_input("PlanSearch.sigmas", "one for each evaluation of a run", "none");
  }
  if (!(target_ >= 1.0)) {
    throw invalid_input("target_speedup", "1 or more", std::to_string(target_));
  }
  const std::vector<SitePhase> automatic = automatic_phases(topology, spec);
  for (size_t phase = 0; phase < start_.until.size(); ++phase) {
    start_.until[phase] = std::llround(automatic[phase].end * kTenths);
  }
  for (const NodeId cut : cut_ladder(topology, spec)) {
    if (cut == automatic.front().sites.front()) {
      start_.cut = ladder_.size();
    }
    ladder_.push_back({topology.node(cut).address, cut_share(topology, cut, size)});
  }
}

std::vector<int64_t> PlanSearch::cuts_of(const PlanShape& shape, int64_t full) const {
  const TimeStepPattern pattern({.mode = kModes[shape.mode], .full_evaluations = full}, sigmas_);
  const auto total = std::ssize(sigmas_);
  std::vector<int64_t> cuts;
  for (int64_t index = 0; index < total; ++index) {
    if (pattern.is_full(index)) {
      cuts.push_back(-1);
      continue;
    }
    const auto phase = std::count_if(shape.until.begin(), shape.until.end(),
                                     [&](int64_t until) { return index * kTenths >= until * total; });
    cuts.push_back(std::min<int64_t>(static_cast<int64_t>(shape.cut) + phase, std::ssize(ladder_) - 1));
  }
  return cuts;
}

double PlanSearch::share_of(const std::vector<int64_t>& cuts) const {
  double sum = 0.0;
  for (const int64_t cut : cuts) {
    sum += cut < 0 ? 1.0 : ladder_[static_cast<size_t>(cut)].share;
  }
  return sum / static_cast<double>(cuts.size());
}

PlanTrial PlanSearch::fitted(const PlanShape& shape) const {
  const double allowed = time_.share_at(target_);
  int64_t full = std::ssize(sigmas_);
  std::vector<int64_t> cuts = cuts_of(shape, full);
  while (full > 1 && share_of(cuts) > allowed) {
    cuts = cuts_of(shape, --full);
  }
  PlanTrial trial{.shape = shape, .sites = {}, .full = 0, .share = share_of(cuts)};
  for (const int64_t cut : cuts) {
    trial.full += cut < 0 ? 1 : 0;
    trial.sites.push_back(cut < 0 ? std::vector<std::string>()
                                  : std::vector{ladder_[static_cast<size_t>(cut)].address});
  }
  return trial;
}

std::vector<PlanShape> PlanSearch::neighbours(const PlanShape& shape) const {
  const auto [first, second] = shape.until;
  std::vector<PlanShape> shapes = {shape};  // its full evaluations follow what was learnt of the times
  const auto vary = [&](size_t PlanShape::* part, size_t count) {
    for (const size_t value : {shape.*part + 1, shape.*part - 1}) {
      if (value < count) {  // below 0 is above all
        shapes.push_back(shape);
        shapes.back().*part = value;
      }
    }
  };
  vary(&PlanShape::cut, ladder_.size());
  vary(&PlanShape::mode, kModes.size());
  for (const int64_t step : {-kPhaseStep, kPhaseStep}) {
    shapes.push_back(with_until(shape, first + step, second + step));
    shapes.push_back(with_until(shape, first + step, second));
    shapes.push_back(with_until(shape, std::min(first, second + step), second + step));
  }
  return shapes;
}

std::optional<PlanTrial> PlanSearch::first_new(const std::vector<PlanShape>& shapes) const {
  for (const PlanShape& shape : shapes) {
    PlanTrial trial = fitted(shape);
    if (is_new(trial) && reaches_target(trial)) {
      return trial;
    }
  }
  return std::nullopt;
}

bool PlanSearch::is_new(const PlanTrial& trial) const {
  return std::none_of(trials_.begin(), trials_.end(),
                      [&](const PlanTrial& before) { return before.sites == trial.sites; });
}

std::optional<PlanSites> PlanSearch::next() {
  if (pending_ || time_.seconds(1.0) <= 0.0) {
    throw internal_fault("PlanSearch.next", pending_ ? "the plan before has no result" : "no full run was timed");
  }
  if (trials_.size() >= kMostTrials) {
    return std::nullopt;
  }
  const std::vector<size_t> order = ranked();
  if (order.empty()) {
    pending_ = first_new({start_});
  }
  for (auto from = order.begin(); from != order.end() && !pending_; ++from) {
    pending_ = first_new(neighbours(trials_[*from].shape));
  }
  if (!pending_ && (order.empty() || !reaches_target(trials_[order.front()]))) {
    PlanTrial fastest = fitted({.cut = 0, .until = {kTenths, kTenths}});
    if (is_new(fastest)) {
      pending_ = std::move(fastest);
    }
  }
  return pending_ ? std::optional(pending_->sites) : std::nullopt;
}

void PlanSearch::add_trial(double seconds, double psnr) {
  if (!pending_) {
    throw internal_fault("PlanSearch.add_trial", "no plan waits for a result");
  }
  pending_->psnr = psnr;
  time_.add(pending_->share, seconds);
  trials_.push_back(*std::exchange(pending_, std::nullopt));
}

bool PlanSearch::reaches_target(const PlanTrial& trial) const {
  return speedup(trial) >= target_ * (1.0 - kSpeedMargin);
}

std::vector<size_t> PlanSearch::ranked() const {
  std::vector<size_t> order(trials_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t first, size_t second) {
    const PlanTrial& one = trials_[first];
    const PlanTrial& other = trials_[second];
    if (reaches_target(one) != reaches_target(other)) {
      return reaches_target(one);
    }
    return reaches_target(one) ? one.psnr > other.psnr : one.share < other.share;
  });
  return order;
}

}  // namespace asdm
