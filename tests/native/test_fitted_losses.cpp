#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "native/planning/fitted_losses.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

constexpr CallSize kSize{64, 64, 77};

/// Its noise levels lie closer than levels know of each other, as those of the table that is shipped.
LossTable table() {
  LossTable table{.ln_sigma = {}, .sites = {}, .peak = 6.0, .reach = 1.0, .kinship = 0.4, .lasting = 0.01};
  for (double ln = -3.0; ln <= 3.0; ln += 0.5) {
    table.ln_sigma.push_back(ln);
  }
  for (const auto& [depth, level] : {std::pair{0.0, -1.0}, std::pair{0.25, -3.0}, std::pair{0.75, -6.0}}) {
    SiteLoss site{.depth = depth, .power = 1.0, .ln_level = {}, .ln_renewal_level = {}};
    for (const double ln : table.ln_sigma) {
      site.ln_level.push_back(level + (ln < 0.0 ? ln : ln * 2.0 / 3.0));
      site.ln_renewal_level.push_back(level + 1.0 + ln * 2.0 / 3.0);
    }
    table.sites.push_back(std::move(site));
  }
  return table;
}

std::vector<CarriedEvaluation> run_of(size_t count) {
  std::vector<CarriedEvaluation> run;
  for (size_t i = 0; i < count; ++i) {
    const double at = static_cast<double>(i) / static_cast<double>(count);
    run.push_back({.sigma = 14.0 * std::pow(0.1, 2.5 * at), .carry = 0.05 + 0.9 * std::pow(at, 4)});
  }
  return run;
}

/// One evaluation inherits `site`.
PlanSites with(size_t count, size_t evaluation, const std::string& site) {
  PlanSites sites(count);
  sites[evaluation] = {site};
  return sites;
}

const Topology& topology() {
  static const Topology kTopology = make_topology(preset_spec("sd15"));
  return kTopology;
}

double predicted(const LossTable& by, const PlanSites& sites) {
  const UNetCuts cuts = unet_cuts(topology(), kSize);
  std::vector<int64_t> chosen;
  for (const std::vector<std::string>& at : sites) {
    chosen.push_back(-1);
    for (size_t cut = 0; !at.empty() && cut < cuts.nodes.size(); ++cut) {
      if (topology().node(cuts.nodes[cut]).address == at.front()) {
        chosen.back() = static_cast<int64_t>(cut);
      }
    }
  }
  const double loss = predicted_loss(by, cuts.costs, run_of(sites.size()), chosen);
  return -10.0 * std::log10(loss / (by.peak * by.peak));
}

LossTable fitted(const std::vector<MeasuredPlan>& measured, double doubt = 0.1) {
  return fitted_losses(table(), topology(), run_of(12), kSize, measured, doubt);
}

TEST(LossParts, AreOneInAllAndSayWhoseMissItIs) {
  const UNetCuts cuts = unet_cuts(topology(), kSize);
  const std::vector<CarriedEvaluation> run = run_of(6);
  const std::vector<int64_t> chosen = {-1, 8, 2, -1, 0, 3};
  for (const ValueForm value : {ValueForm::kHold, ValueForm::kTaylor1}) {
    const std::vector<double> parts = loss_parts(table(), cuts.costs, run, chosen, value);
    double sum = 0.0;
    for (const double part : parts) {
      sum += part;
    }
    EXPECT_NEAR(sum, 1.0, 1e-9);
    EXPECT_EQ(parts[0], 0.0);
    EXPECT_EQ(parts[3], 0.0);
  }
  EXPECT_EQ(loss_parts(table(), cuts.costs, run, {-1, -1, -1, -1, -1, -1}), std::vector<double>(6, 0.0));
}

/// The derivative of the loss's root by each miss: what raising that one level by a little raises.
TEST(LossParts, AreWhatTheLossGrowsBy) {
  const UNetCuts cuts = unet_cuts(topology(), kSize);
  const std::vector<CarriedEvaluation> run = run_of(4);
  const std::vector<int64_t> chosen = {-1, 8, 2, 0};  // each inherits what the one before computed from stale parts
  const std::vector<double> parts = loss_parts(table(), cuts.costs, run, chosen);
  LossTable raised = table();
  for (double& level : raised.sites.front().ln_level) {
    level += 1e-4;  // of the last evaluation's cut alone
  }
  const double before = 0.5 * std::log(predicted_loss(table(), cuts.costs, run, chosen));
  const double after = 0.5 * std::log(predicted_loss(raised, cuts.costs, run, chosen));
  const double deeper = cuts.costs[2].depth / 0.25;  // the other cut lies between this level and the next
  EXPECT_NEAR((after - before) / 1e-4, parts[3] + (1.0 - deeper) * parts[2], 1e-3);
}

TEST(FittedLosses, AreTheTablesWhereNothingWasMeasuredOrAllWasAsPredicted) {
  EXPECT_EQ(fitted({}).sites[1].ln_level, table().sites[1].ln_level);
  const PlanSites sites = with(12, 6, "out.8");
  EXPECT_NEAR(fitted({{sites, predicted(table(), sites)}}).sites[1].ln_level[6], table().sites[1].ln_level[6], 1e-9);
  EXPECT_EQ(fitted({{PlanSites(12), 100.0}}).sites[1].ln_level, table().sites[1].ln_level);
}

TEST(FittedLosses, ExplainWhatWasMeasured) {
  const PlanSites early = with(12, 2, "out.8");
  const PlanSites late = with(12, 10, "out.8");
  const std::vector<MeasuredPlan> measured = {{early, predicted(table(), early) - 6.0},
                                              {late, predicted(table(), late) + 6.0}};
  const LossTable trusting = fitted(measured);
  EXPECT_NEAR(predicted(trusting, early), measured[0].psnr, 2.0);
  EXPECT_NEAR(predicted(trusting, late), measured[1].psnr, 2.0);
  const LossTable doubting = fitted(measured, 3.0);
  EXPECT_GT(predicted(doubting, early), predicted(trusting, early) + 1.0);
  EXPECT_LT(predicted(doubting, early), predicted(table(), early));
}

TEST(FittedLosses, SayLessOfOtherNoiseLevelsAndOtherCuts) {
  const PlanSites measured = with(12, 10, "out.8");
  const LossTable known = fitted({{measured, predicted(table(), measured) - 6.0}});
  const auto lower = [&](const PlanSites& sites) { return predicted(table(), sites) - predicted(known, sites); };
  EXPECT_GT(lower(measured), lower(with(12, 4, "out.8")) + 0.3);
  EXPECT_GT(lower(measured), lower(with(12, 10, "out.2")) + 0.3);
  EXPECT_GT(lower(with(12, 4, "out.2")), 0.3);
}

TEST(FittedLosses, RefusePlansOfAnotherRun) {
  expect_contains(error_of([&] { static_cast<void>(fitted({{PlanSites(5), 40.0}})); }),
                  "measured.sites: expected those of 12 evaluations, got 5");
  expect_contains(error_of([&] { static_cast<void>(fitted({{with(12, 3, "in.4.attn"), 40.0}})); }),
                  "measured.sites: expected one cut of the UNet, or none, got in.4.attn");
}

}  // namespace
}  // namespace asdm
