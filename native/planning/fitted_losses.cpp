#include "native/planning/fitted_losses.h"

#include <ATen/core/TensorAccessor.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "native/base/error.h"

namespace asdm {
namespace {

// How far ln(level) may be off a priori (deviation): all levels together, those at a noise level, those of a cut; and
// how far apart in ln(sigma) and in depth two of them know nothing of each other any more.
constexpr double kAllOff = 0.5;
constexpr double kNoiseOff = 0.6;
constexpr double kCutOff = 0.3;
constexpr double kNoiseReach = 1.0;
constexpr double kDepthReach = 0.1;

/// Where in the table a part of a loss comes from.
struct Cause {
  double ln_sigma;
  double depth;
  double part;
};
using Causes = std::vector<Cause>;

/// Prior covariance of what two levels are off.
double kinship(const Cause& one, const Cause& other) {
  return kAllOff * kAllOff + kNoiseOff * kNoiseOff * std::exp(-std::abs(one.ln_sigma - other.ln_sigma) / kNoiseReach) +
         kCutOff * kCutOff * std::exp(-std::abs(one.depth - other.depth) / kDepthReach);
}

double kinship(const Causes& ones, const Causes& others) {
  double sum = 0.0;
  for (const Cause& one : ones) {
    for (const Cause& other : others) {
      sum += one.part * other.part * kinship(one, other);
    }
  }
  return sum;
}

/// The cut at which `address` is inherited: its own, or where that leaves no more to compute than a shallower one,
/// that.
int64_t cut_of(const std::vector<std::string>& inherited, const Topology& topology, const UNetCuts& cuts) {
  if (inherited.empty()) {
    return -1;
  }
  for (NodeId node = topology.whole(); inherited.size() == 1 && node >= topology.first_output(); --node) {
    if (topology.node(node).address == inherited.front()) {
      const auto deeper = std::find_if(cuts.nodes.begin(), cuts.nodes.end(), [&](NodeId cut) { return cut < node; });
      return std::max<int64_t>(deeper - cuts.nodes.begin() - 1, 0);
    }
  }
  throw invalid_input("measured.sites", "one cut of the UNet, or none", inherited.front());
}

std::vector<int64_t> cuts_of(const PlanSites& sites, const Topology& topology, const UNetCuts& cuts, size_t count) {
  if (sites.size() != count) {
    throw invalid_input("measured.sites", "those of " + std::to_string(count) + " evaluations",
                        std::to_string(sites.size()));
  }
  std::vector<int64_t> chosen;
  for (const std::vector<std::string>& inherited : sites) {
    chosen.push_back(cut_of(inherited, topology, cuts));
  }
  return chosen;
}

}  // namespace

LossTable fitted_losses(const LossTable& table, const Topology& topology,
                        const std::vector<CarriedEvaluation>& evaluations, const CallSize& size,
                        const std::vector<MeasuredPlan>& measured, double doubt) {
  const UNetCuts cuts = unet_cuts(topology, size);
  std::vector<Causes> causes;
  std::vector<double> off;  // ln of the root of the loss, over what was predicted
  for (const MeasuredPlan& plan : measured) {
    const std::vector<int64_t> chosen = cuts_of(plan.sites, topology, cuts, evaluations.size());
    const double predicted = predicted_loss(table, cuts.costs, evaluations, chosen, plan.value);
    if (!(predicted > 0.0)) {
      continue;  // it inherits nothing, and says nothing
    }
    const std::vector<double> parts = loss_parts(table, cuts.costs, evaluations, chosen, plan.value);
    Causes own;
    for (size_t i = 0; i < chosen.size(); ++i) {
      if (chosen[i] >= 0) {
        own.push_back({ln_noise(evaluations[i].sigma), cuts.costs[static_cast<size_t>(chosen[i])].depth, parts[i]});
      }
    }
    causes.push_back(std::move(own));
    off.push_back(std::log(table.peak) - plan.psnr * std::log(10.0) / 20.0 - 0.5 * std::log(predicted));
  }
  const auto count = std::ssize(causes);
  at::Tensor rows = at::eye(count, at::kDouble).mul_(doubt * doubt);
  auto row = rows.accessor<double, 2>();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < count; ++j) {
      row[i][j] += kinship(causes[static_cast<size_t>(i)], causes[static_cast<size_t>(j)]);
    }
  }
  const at::Tensor solved = at::linalg_solve(rows, at::tensor(off, at::kDouble));
  const auto weights = solved.accessor<double, 1>();
  LossTable fitted = table;
  for (SiteLoss& site : fitted.sites) {
    for (size_t knot = 0; knot < table.ln_sigma.size(); ++knot) {
      double change = 0.0;
      for (size_t i = 0; i < causes.size(); ++i) {
        change += weights[static_cast<int64_t>(i)] * kinship(causes[i], {{table.ln_sigma[knot], site.depth, 1.0}});
      }
      site.ln_level[knot] += change;
      site.ln_renewal_level[knot] += change;
    }
  }
  return fitted;
}

}  // namespace asdm
