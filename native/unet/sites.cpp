#include "native/unet/sites.h"

#include <algorithm>
#include <utility>

#include "native/base/error.h"

namespace asdm {
namespace {

constexpr std::string_view kAutomatic = "auto";

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      if (!word.empty()) {
        words.push_back(std::exchange(word, {}));
      }
    } else {
      word += c;
    }
  }
  if (!word.empty()) {
    words.push_back(std::move(word));
  }
  return words;
}

/// The error for a `word` that names no site; says more where it names another part of this UNet.
Error no_site(const Topology& topology, const std::vector<std::string>& known, const std::string& word) {
  const std::vector<std::string> addresses = all_addresses(topology);
  if (std::find(addresses.begin(), addresses.end(), word) != addresses.end()) {
    const auto block = std::find_if(known.begin(), known.end(),
                                    [&](const std::string& site) { return word.starts_with(site + "."); });
    const std::string expected = block == known.end() ? "a block before the last one, whose value is the whole UNet's"
                                                      : "a whole block, such as " + *block;
    return invalid_input("sites", expected, "'" + word + "'");
  }
  std::vector<std::string> choices = {std::string(kAutomatic)};
  choices.insert(choices.end(), known.begin(), known.end());
  return unknown_name("sites", word, choices);
}

/// SD1.x and SD2.x spend most of their work at full resolution, so the cut sits just below it (62 % of the MACs dead
/// at 64x64). SDXL spends it in the deep transformers: the same rule would leave 7 % alive and inherit nearly all
/// there is, so its cut lies one level deeper (69 % dead).
NodeId automatic_cut(const Topology& topology, const UNetSpec& spec) {
  const bool deep = spec.family == Family::kSDXL || spec.family == Family::kSDXLRefiner;
  const int64_t full_resolution = spec.num_res_blocks.front() + 1;
  const int64_t level_below = spec.num_res_blocks.size() > 1 ? spec.num_res_blocks[1] + 1 : 0;
  const int64_t live = deep ? full_resolution + level_below : full_resolution;
  return topology.output(std::max<int64_t>(topology.outputs - 1 - live, 0));
}

}  // namespace

std::vector<std::string> site_names(const Topology& topology) {
  std::vector<std::string> names;
  for (size_t i = 0; i + 1 < topology.blocks.size(); ++i) {
    names.push_back(topology.blocks[i].address);
  }
  return names;
}

std::vector<NodeId> resolve_sites(const Topology& topology, const UNetSpec& spec, std::string_view sites) {
  const std::vector<std::string> words = split(sites);
  const bool automatic = std::find(words.begin(), words.end(), kAutomatic) != words.end();
  if (automatic && words.size() > 1) {
    throw invalid_input("sites", "auto alone, or addresses of blocks without it", "'" + std::string(sites) + "'");
  }
  if (automatic) {
    return {automatic_cut(topology, spec)};
  }
  const std::vector<std::string> known = site_names(topology);
  std::vector<NodeId> nodes;
  for (const std::string& word : words) {
    const auto found = std::find(known.begin(), known.end(), word);
    if (found == known.end()) {
      throw no_site(topology, known, word);
    }
    nodes.push_back(static_cast<NodeId>(found - known.begin()));
  }
  if (nodes.empty()) {
    throw no_site(topology, known, "");
  }
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  return nodes;
}

}  // namespace asdm
