#include "native/format/me_cond_conv_sites.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "native/base/error.h"
#include "native/base/name_table.h"

namespace asdm {
namespace {

constexpr std::string_view kSitesField = "UNetSpec.me_cond_conv";
constexpr int64_t kMostExperts = 64;

}  // namespace

void check_routing(const std::string& where, const ExpertRouting& routing) {
  if (routing.experts < 2 || routing.experts > kMostExperts) {
    throw invalid_input(where + ".experts", "2 to " + std::to_string(kMostExperts), std::to_string(routing.experts));
  }
  if (!std::isfinite(routing.temperature) || routing.temperature <= 0.0) {
    std::ostringstream got;
    got << routing.temperature;
    throw invalid_input(where + ".temperature", "a number above 0", got.str());
  }
}

std::vector<ResSite> res_sites(const UNetLayout& layout) {
  std::vector<ResSite> sites;
  for (const BlockLayout& block : layout) {
    for (const LayerLayout& layer : block.layers) {
      if (layer.kind != LayerKind::kRes) {
        continue;
      }
      for (const auto& [name, convolution] : kResConvolutions) {
        sites.push_back({layer.address + "." + name, block.kind, block.number, block.level, layer, convolution});
      }
    }
  }
  return sites;
}

std::vector<std::string> addresses_of(const std::vector<ResSite>& sites) {
  std::vector<std::string> addresses;
  for (const ResSite& site : sites) {
    addresses.push_back(site.address);
  }
  return addresses;
}

ResSite find_res_site(const UNetSpec& spec, const std::string& address, std::string_view where) {
  const std::vector<ResSite> sites = res_sites(make_layout(spec));
  const auto found =
      std::find_if(sites.begin(), sites.end(), [&](const ResSite& site) { return site.address == address; });
  if (found != sites.end()) {
    return *found;
  }
  const std::vector<std::string> full = addresses_of(res_sites(full_layout(spec)));
  if (std::find(full.begin(), full.end(), address) != full.end()) {
    throw invalid_input(where, "convolutions that the UNet has", address + ", which was removed");
  }
  throw unknown_name(where, address, addresses_of(sites));
}

void check_me_cond_conv(const UNetSpec& spec) {
  if (spec.me_cond_conv.empty()) {
    return;
  }
  const std::vector<std::string> known = addresses_of(res_sites(make_layout(spec)));
  auto left = known.begin();
  for (size_t i = 0; i < spec.me_cond_conv.size(); ++i) {
    const MECondConvSite& given = spec.me_cond_conv[i];
    (void)find_res_site(spec, given.site, kSitesField);
    left = std::find(left, known.end(), given.site);
    if (left == known.end()) {
      throw invalid_input(kSitesField, "each site once, in evaluation order",
                          given.site + " after " + spec.me_cond_conv[i - 1].site);
    }
    ++left;
    check_routing(std::string(kSitesField) + "[" + std::to_string(i) + "]", given.routing);
  }
}

}  // namespace asdm
