#include "native/planning/loss_table.h"

#include <algorithm>
#include <cmath>

#include "native/base/error.h"
#include "native/format/strict_json.h"

namespace asdm {
namespace {

/// Evaluations at one noise level differ all the same, by what the sampler did in between.
constexpr double kLeastGap = 0.02;
/// Spans in ln(sigma) that forecasts were measured at.
constexpr double kLeastSpan = 0.2;
constexpr double kMostSpan = 5.0;

/// Index of the first of two neighbours in `knots` around `at`, and the share of the second; the ends hold outside.
template <class Knots, class Value>
std::pair<size_t, double> between(const Knots& knots, double at, Value value) {
  size_t first = 0;
  while (first + 2 < knots.size() && value(knots[first + 1]) < at) {
    ++first;
  }
  const double low = value(knots[first]);
  return {first, std::clamp((at - low) / (value(knots[first + 1]) - low), 0.0, 1.0)};
}

double between(double low, double high, double share) { return low + (high - low) * share; }

}  // namespace

double LossTable::miss(double depth, double sigma, const Since& since) const {
  const double ln = ln_noise(sigma);
  const double gap = std::max(std::abs(ln_noise(since.sigma) - ln) + std::abs(since.strayed), kLeastGap);
  const auto [site, deeper] = between(sites, depth, [](const SiteLoss& loss) { return loss.depth; });
  const auto [knot, above] = between(ln_sigma, ln, [](double value) { return value; });
  const auto at_depth = [&, site = site, deeper = deeper](const auto& of) {
    return std::exp(between(of(sites[site]), of(sites[site + 1]), deeper));
  };
  const double drifted = at_depth([&, knot = knot, above = above](const SiteLoss& loss) {
    return between(loss.ln_level[knot], loss.ln_level[knot + 1], above) + loss.power * std::log(gap);
  });
  const double drawn = at_depth([&, knot = knot, above = above](const SiteLoss& loss) {
    return between(loss.ln_renewal_level[knot], loss.ln_renewal_level[knot + 1], above);
  });
  return std::hypot(drifted, since.renewed * drawn);
}

double LossTable::forecast_share(double span) const {
  return forecast_ratio * std::pow(std::clamp(span, kLeastSpan, kMostSpan), forecast_power);
}

double ln_noise(double sigma) { return std::log(std::max(sigma, 0.01)); }

LossTable loss_table_from_json(std::string_view json) {
  const nlohmann::json parsed = parse_json_object(json, "losses");
  check_header(parsed, "losses", "asdm.losses", 4);
  check_keys(parsed, "losses",
             {"format", "version", "made_of", "ln_sigma", "sites", "peak", "reach", "kinship", "spread", "pull",
              "lasting", "forecast_ratio", "forecast_power"});
  LossTable table;
  try {
    parsed.at("ln_sigma").get_to(table.ln_sigma);
    parsed.at("peak").get_to(table.peak);
    parsed.at("reach").get_to(table.reach);
    parsed.at("kinship").get_to(table.kinship);
    parsed.at("spread").get_to(table.spread);
    parsed.at("pull").get_to(table.pull);
    parsed.at("lasting").get_to(table.lasting);
    parsed.at("forecast_ratio").get_to(table.forecast_ratio);
    parsed.at("forecast_power").get_to(table.forecast_power);
    for (const nlohmann::json& site : parsed.at("sites")) {
      check_keys(site, "losses.sites", {"depth", "power", "ln_level", "ln_renewal_level"});
      table.sites.push_back({site.at("depth").get<double>(), site.at("power").get<double>(),
                             site.at("ln_level").get<std::vector<double>>(),
                             site.at("ln_renewal_level").get<std::vector<double>>()});
    }
  } catch (const nlohmann::json::exception& fault) {
    throw invalid_input("losses", "numbers and lists of numbers", fault.what());
  }
  const auto rises = [](const SiteLoss& low, const SiteLoss& high) { return low.depth >= high.depth; };
  const bool whole =
      table.ln_sigma.size() > 1 && table.sites.size() > 1 &&
      std::adjacent_find(table.sites.begin(), table.sites.end(), rises) == table.sites.end() &&
      std::adjacent_find(table.ln_sigma.begin(), table.ln_sigma.end(), std::greater_equal()) == table.ln_sigma.end() &&
      std::all_of(table.sites.begin(), table.sites.end(), [&](const SiteLoss& site) {
        return site.ln_level.size() == table.ln_sigma.size() && site.ln_renewal_level.size() == table.ln_sigma.size();
      });
  if (!whole || !(table.peak > 0.0) || !(table.reach > 0.0) || !(table.spread > 0.0)) {
    throw invalid_input("losses",
                        "two sites or more by ascending depth, each with both levels at every ln_sigma, and "
                        "peak, reach and spread above 0",
                        "others");
  }
  return table;
}

}  // namespace asdm
