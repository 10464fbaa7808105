#include "native/assembly/me_cond_conv_start.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "native/base/error.h"
#include "native/base/words.h"
#include "native/format/me_cond_conv_sites.h"

namespace asdm {
namespace {

constexpr std::string_view kWhere = "ME-CondConv sites";
constexpr double kShareOfKept = 0.75;  // of expert 0; the others have the rest together
constexpr double kPerturbation = 0.05;

bool same_stage(const ResSite& a, const ResSite& b) { return a.kind == b.kind && a.level == b.level; }

/// Whether `student` lacks something of the stage of `site`: a layer, or a transformer block.
bool stage_lost_something(const ResSite& site, const UNetLayout& full, const UNetLayout& left) {
  const auto parts = [&](const UNetLayout& layout) {
    size_t count = 0;
    for (const BlockLayout& block : layout) {
      if (block.kind == site.kind && block.level == site.level) {
        for (const LayerLayout& layer : block.layers) {
          count += 1 + layer.transformer_blocks.size();
        }
      }
    }
    return count;
  };
  return parts(left) < parts(full);
}

std::vector<ResSite> automatic_sites(const UNetSpec& student) {
  const UNetLayout full = full_layout(student);
  const UNetLayout left = make_layout(student);
  std::vector<ResSite> chosen;
  for (ResSite& site : res_sites(left)) {
    if (site.convolution == ResConvolution::kConv2 && stage_lost_something(site, full, left)) {
      chosen.push_back(std::move(site));
    }
  }
  if (chosen.empty()) {
    throw invalid_input(kWhere,
                        "addresses such as in.1.res.conv2, or a UNet that lacks parts beside ResBlocks it keeps",
                        std::string(kAutomaticSites) + " for one without such");
  }
  return chosen;
}

/// In evaluation order, each once.
std::vector<ResSite> sites_of(const UNetSpec& student, const std::string& text) {
  const std::vector<std::string> words = words_of(text);
  if (words == std::vector<std::string>{std::string(kAutomaticSites)}) {
    return automatic_sites(student);
  }
  if (words.empty()) {
    throw invalid_input(kWhere, "auto, or addresses such as in.1.res.conv2", "none");
  }
  for (const std::string& word : words) {
    (void)find_res_site(student, word, kWhere);
  }
  std::vector<ResSite> sites = res_sites(make_layout(student));
  std::erase_if(
      sites, [&](const ResSite& site) { return std::find(words.begin(), words.end(), site.address) == words.end(); });
  return sites;
}

void check_teacher(const UNetSpec& student, const UNetSpec& teacher) {
  const auto architecture = [](UNetSpec spec) {
    spec.prediction = Prediction::kEpsilon;
    spec.removed.clear();
    spec.me_cond_conv.clear();
    return spec;
  };
  if (architecture(student) != architecture(teacher)) {
    throw invalid_input("ME-CondConv teacher", "the architecture of the UNet that gets the experts",
                        std::string(to_string(teacher.family)) + " of other widths, depths or channels");
  }
}

/// The convolutions of the stage of `site` that the teacher has and the student lacks, and that fit; nearest first.
std::vector<ResSite> pruned_beside(const ResSite& site, const UNetSpec& student, const UNetSpec& teacher) {
  const std::vector<std::string> left = addresses_of(res_sites(make_layout(student)));
  std::vector<ResSite> pruned = res_sites(make_layout(teacher));
  std::erase_if(pruned, [&](const ResSite& other) {
    return !same_stage(site, other) || other.convolution != site.convolution ||
           other.in_channels() != site.in_channels() ||
           std::find(left.begin(), left.end(), other.address) != left.end();
  });
  std::stable_sort(pruned.begin(), pruned.end(), [&](const ResSite& a, const ResSite& b) {
    return std::abs(a.number - site.number) < std::abs(b.number - site.number);
  });
  return pruned;
}

std::vector<double> starting_shares(const ExpertRouting& routing) {
  std::vector<double> shares(static_cast<size_t>(routing.experts),
                             (1.0 - kShareOfKept) / static_cast<double>(routing.experts - 1));
  shares.front() = kShareOfKept;
  return shares;
}

/// c: what the form turns into `shares`.
std::vector<double> router_bias(const ExpertRouting& routing, const std::vector<double>& shares) {
  std::vector<double> bias;
  for (const double share : shares) {
    const double odds = routing.form == RoutingForm::kSoftmax ? share : share / (1.0 - share);
    bias.push_back(std::log(odds) * routing.temperature);
  }
  return bias;
}

}  // namespace

MECondConvStart start_me_cond_conv(const UNetSpec& student, const UNetSpec& teacher, const MECondConvRequest& request) {
  check_teacher(student, teacher);
  check_routing(std::string(kWhere), request.routing);
  MECondConvStart start{student, {}};
  const std::vector<double> shares = starting_shares(request.routing);
  const std::vector<double> bias = router_bias(request.routing, shares);
  for (const ResSite& site : sites_of(student, request.sites)) {
    for (const MECondConvSite& there : student.me_cond_conv) {
      if (there.site == site.address) {
        throw invalid_input(kWhere, "convolutions with one kernel", site.address + ", which is ME-CondConv already");
      }
    }
    start.spec.me_cond_conv.push_back({site.address, request.routing});
    const std::string& key = site.res_block.key;
    const std::vector<ResSite> pruned = pruned_beside(site, student, teacher);
    const std::string was_there = expert_leaf(key, site.convolution, 0);
    LeafStart kept{.leaf = was_there, .from = was_there, .shares = shares};
    for (int64_t e = 1; e < request.routing.experts; ++e) {
      LeafStart leaf{.leaf = expert_leaf(key, site.convolution, e),
                     .from = was_there,
                     .seed = request.seed + static_cast<int64_t>(start.leaves.size())};
      if (e <= static_cast<int64_t>(pruned.size())) {
        leaf.from = expert_leaf(pruned[static_cast<size_t>(e) - 1].res_block.key, site.convolution, 0);
        leaf.of_teacher = true;
      } else {
        leaf.perturbation = kPerturbation;
      }
      kept.beside.push_back(leaf.leaf);
      start.leaves.push_back(std::move(leaf));
    }
    start.leaves.push_back(std::move(kept));
    start.leaves.push_back({.leaf = routing_leaf(key, site.convolution), .from = "", .bias = bias});
  }
  const std::vector<std::string> order = addresses_of(res_sites(make_layout(student)));
  std::sort(start.spec.me_cond_conv.begin(), start.spec.me_cond_conv.end(),
            [&](const MECondConvSite& a, const MECondConvSite& b) {
              return std::find(order.begin(), order.end(), a.site) < std::find(order.begin(), order.end(), b.site);
            });
  start.spec.validate();
  return start;
}

}  // namespace asdm
