#include "native/inheritance/decisions.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "native/base/error.h"
#include "native/base/words.h"
#include "native/inheritance/evaluation_point.h"

namespace asdm {
namespace {

/// Phases meet at sigmas that were computed, not given: allow for rounding.
constexpr double kShareMargin = 1e-6;

const InheritanceSettings& checked(const InheritanceSettings& settings) {
  check(settings);
  return settings;
}

}  // namespace

std::set<NodeId> sites_of(const InheritanceSettings& settings) {
  std::set<NodeId> sites;
  if (settings.plan) {
    for (const std::vector<NodeId>& evaluation : *settings.plan) {
      sites.insert(evaluation.begin(), evaluation.end());
    }
    return sites;
  }
  for (const SitePhase& phase : settings.phases) {
    sites.insert(phase.sites.begin(), phase.sites.end());
  }
  return sites;
}

void check(const InheritanceSettings& settings) {
  check(settings.time_steps);
  if (!(settings.start_percent >= 0.0 && settings.start_percent <= settings.end_percent &&
        settings.end_percent <= 1.0)) {
    throw invalid_input("start_percent, end_percent", "0 <= start_percent <= end_percent <= 1",
                        number_text(settings.start_percent) + ", " + number_text(settings.end_percent));
  }
  if (settings.max_age < 0) {
    throw invalid_input("max_age", "0 (no limit) or more", std::to_string(settings.max_age));
  }
}

Decisions::Decisions(InheritanceSettings settings, const std::vector<double>& sigmas)
    : settings_(std::move(settings)),
      window_(sigmas, checked(settings_).start_percent, settings_.end_percent),
      pattern_(settings_.time_steps, window_.sigmas()),
      sites_(sites_of(settings_)) {
  const auto total = static_cast<int64_t>(window_.sigmas().size());
  if (settings_.cuts.empty()) {
    controller_ = make_controller(settings_.time_steps, pattern_, total);
  }
  ever_inherits_ = !sites_.empty() && (settings_.plan || (total > 0 && pattern_.inherits()));
}

Decision Decisions::inherit() const {
  if (settings_.plan) {
    return {Decision::Kind::kInherit, (*settings_.plan)[static_cast<size_t>(evaluation_)]};
  }
  const double share = std::clamp(window_.share(sigma_), 0.0, 1.0);
  for (const SitePhase& phase : settings_.phases) {
    const bool last = phase.end >= 1.0;
    if (share >= phase.start - kShareMargin && (last || share < phase.end - kShareMargin)) {
      return {phase.sites.empty() ? Decision::Kind::kFull : Decision::Kind::kInherit, phase.sites};
    }
  }
  return {};
}

bool Decisions::is_last() const {
  const std::vector<double>& steps = window_.sigmas();
  const auto from = std::max<int64_t>(std::ssize(steps) - settings_.time_steps.last_full, 0);
  return from < std::ssize(steps) && window_index_ >= from &&
         sigma_ <= steps[static_cast<size_t>(from)] * (1.0 + kSigmaMargin);
}

at::Tensor Decisions::measure(const at::Tensor& x) { return measures() ? controller_->measure(x) : at::Tensor(); }

Decision Decisions::begin(double sigma, std::optional<double> measured) {
  ++evaluation_;
  sigma_ = sigma;
  in_window_ = false;
  if (!ever_inherits_) {
    return {};
  }
  if (settings_.plan) {
    const auto& plan = *settings_.plan;
    const auto index = static_cast<size_t>(evaluation_);
    return index < plan.size() && !plan[index].empty() ? inherit() : Decision{};
  }
  if (!window_.contains(sigma)) {
    return {};
  }
  in_window_ = true;
  ++window_index_;
  if (controller_ != nullptr) {
    // For the first of the window nothing counts that lay before it.
    const bool inherits = controller_->inherits(window_index_, window_index_ > 0 ? measured : std::nullopt);
    return inherits && !is_last() ? inherit() : Decision{};
  }
  if (pattern_.is_full(window_index_) || is_last()) {
    return {};
  }
  return settings_.cuts.empty() ? inherit() : Decision{Decision::Kind::kSearch, {}};
}

void Decisions::computed(const at::Tensor& prediction) {
  if (controller_ != nullptr && in_window_) {
    controller_->computed(prediction);
  }
}

}  // namespace asdm
