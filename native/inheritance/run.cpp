#include "native/inheritance/run.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ATen/ops/cat.h>

#include "native/base/error.h"

namespace asdm {
namespace {

/// Sigma at `percent` (0..1) of the schedule, linear between its entries.
double sigma_at(const std::vector<double>& sigmas, double percent) {
  const double position = percent * static_cast<double>(sigmas.size() - 1);
  const auto below = static_cast<size_t>(std::floor(position));
  if (below + 1 >= sigmas.size()) {
    return sigmas.back();
  }
  const double share = position - static_cast<double>(below);
  return sigmas[below] * (1.0 - share) + sigmas[below + 1] * share;
}

/// Samplers evaluate a hair beside their schedule (uni_pc's last sigma, ancestral noise), so compare with a margin.
constexpr double kSigmaMargin = 1e-4;

void check(const InheritanceSettings& settings) {
  check(settings.time_steps);
  if (!(settings.start_percent >= 0.0 && settings.start_percent <= settings.end_percent &&
        settings.end_percent <= 1.0)) {
    throw invalid_input("start_percent, end_percent", "0 <= start_percent <= end_percent <= 1",
                        std::to_string(settings.start_percent) + ", " + std::to_string(settings.end_percent));
  }
  if (settings.max_age < 0) {
    throw invalid_input("max_age", "0 (no limit) or more", std::to_string(settings.max_age));
  }
}

}  // namespace

Run::Run(std::optional<InheritanceSettings> settings, std::vector<double> sigmas, int64_t nodes)
    : settings_(std::move(settings)) {
  record_.computed_nodes.resize(static_cast<size_t>(nodes));
  record_.inherited_nodes.resize(static_cast<size_t>(nodes));
  if (!settings_) {
    return;
  }
  check(*settings_);
  if (sigmas.size() < 2) {
    settings_.reset();  // no step, nothing to inherit
    return;
  }
  window_high_ = sigma_at(sigmas, settings_->start_percent);
  window_low_ = settings_->end_percent >= 1.0 ? 0.0 : sigma_at(sigmas, settings_->end_percent);
  if (settings_->start_percent <= 0.0) {
    window_high_ = std::numeric_limits<double>::infinity();
  }
  sigmas.pop_back();  // where the last step ends; nothing is evaluated there
  std::erase_if(sigmas, [this](double sigma) { return !in_window(sigma); });
  pattern_.emplace(settings_->time_steps, sigmas);
}

bool Run::in_window(double sigma) const {
  const bool starts = sigma <= window_high_ * (1.0 + kSigmaMargin);
  const bool open_end = settings_->end_percent >= 1.0;
  return starts && (open_end || sigma > window_low_ * (1.0 + kSigmaMargin));
}

void Run::begin_evaluation(double sigma) {
  ++evaluation_;
  ++record_.evaluations;
  sigma_ = sigma;
  inherit_ = false;
  storing_ = false;
  if (settings_ && !settings_->sites.empty() && in_window(sigma)) {
    ++window_index_;
    inherit_ = !pattern_->is_full(window_index_);
    storing_ = pattern_->inherits();
  }
  ++(inherit_ ? record_.inherited : record_.full);
}

std::string Run::obstacle(const std::vector<std::string>& keys) const {
  const Slot* first = store_.find(keys.front());
  for (const std::string& key : keys) {
    const Slot* slot = store_.find(key);
    if (slot == nullptr) {
      return "no stored features for this conditioning and shape";
    }
    if (slot->sigma < sigma_ * (1.0 - kSigmaMargin)) {
      return "sigma rose";
    }
    if (settings_->max_age > 0 && evaluation_ - slot->evaluation > settings_->max_age) {
      return "older than max_age";
    }
    for (const NodeId site : settings_->sites) {
      if (!slot->features.contains(site)) {
        return "site was not computed";
      }
    }
    if (slot->entered != first->entered) {
      return "feature shape changed";  // a hook resized one chunk of the batch and not another
    }
  }
  return {};
}

CallFeatures Run::begin_call(const std::vector<std::string>& keys) {
  if (evaluation_ < 0 || !storing_ || keys.empty()) {
    return {};
  }
  std::map<NodeId, at::Tensor> inherited;
  std::map<NodeId, SpatialSize> entered;
  if (inherit_) {
    if (const std::string reason = obstacle(keys); !reason.empty()) {
      ++record_.forced_refreshes[reason];
    } else {
      for (const NodeId site : settings_->sites) {
        std::vector<at::Tensor> rows;
        rows.reserve(keys.size());
        for (const std::string& key : keys) {
          rows.push_back(store_.find(key)->features.at(site));
        }
        inherited.emplace(site, at::cat(rows, 0));
      }
      entered = store_.find(keys.front())->entered;
    }
  }
  return {keys, settings_->sites, std::move(inherited), std::move(entered)};
}

void Run::end_call(CallFeatures& call) {
  ++record_.calls;
  for (const NodeId node : call.computed_nodes()) {
    ++record_.computed_nodes[static_cast<size_t>(node)];
  }
  for (const NodeId node : call.used_nodes()) {
    ++record_.inherited_nodes[static_cast<size_t>(node)];
  }
  if (!call.abandoned().empty()) {
    ++record_.forced_refreshes[call.abandoned()];
  }
  if (call.inherits() || call.keys().empty()) {
    return;
  }
  for (size_t chunk = 0; chunk < call.keys().size(); ++chunk) {
    store_.put(call.keys()[chunk], {sigma_, evaluation_, call.chunk_features(chunk), call.entered()});
  }
  record_.peak_cache_bytes = std::max(record_.peak_cache_bytes, store_.bytes());
}

}  // namespace asdm
