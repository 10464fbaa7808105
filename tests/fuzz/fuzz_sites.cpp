// Sites as users write them: addresses, patterns, presets, phases. The first byte chooses UNet and level.
#include <array>
#include <map>

#include "native/planning/sites.h"
#include "tests/fuzz/fuzzed.h"

namespace {

using asdm::fuzzing::require;

struct Known {
  asdm::UNetSpec spec;
  asdm::Topology topology;
};

const Known& unet_of(uint8_t choice) {
  static const std::vector<Known> unets = [] {
    std::vector<Known> made;
    for (const char* preset : {"sd15", "sdxl"}) {
      const asdm::UNetSpec spec = asdm::preset_spec(preset);
      made.push_back({spec, asdm::make_topology(spec)});
    }
    const asdm::UNetSpec smaller = asdm::without(made.front().spec, {"in.8.attn", "mid", "out.3.attn"});
    made.push_back({smaller, asdm::make_topology(smaller)});
    return made;
  }();
  return unets[choice % unets.size()];
}

/// The text of what was resolved, which reads as the same.
std::string written(const asdm::Topology& topology, const asdm::ResolvedSites& resolved) {
  std::string text;
  for (const asdm::SitePhase& phase : resolved.phases) {
    if (resolved.phased) {
      std::array<char, 64> share{};
      std::snprintf(share.data(), share.size(), "%.17g-%.17g: ", phase.start, phase.end);
      text += share.data();
    }
    text += asdm::join(asdm::site_texts(topology, phase.sites, resolved.whole_outputs)) + ";";
  }
  if (!resolved.phased) {
    text.pop_back();
  }
  return text;
}

void require_same(const asdm::ResolvedSites& a, const asdm::ResolvedSites& b) {
  require(a.phases.size() == b.phases.size() && a.whole_outputs == b.whole_outputs, "as many phases, the same forms");
  for (size_t i = 0; i < a.phases.size(); ++i) {
    require(a.phases[i].sites == b.phases[i].sites && a.phases[i].start == b.phases[i].start, "the same phase");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const Known& unet = unet_of(data[0]);
  const auto level =
      std::array{asdm::SiteLevel::kBlock, asdm::SiteLevel::kLayer, asdm::SiteLevel::kUnit}[data[0] / 3 % 3];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  asdm::fuzzing::refuses_or([&] {
    asdm::ResolvedSites resolved = asdm::resolve_sites(unet.topology, unet.spec, level, text);
    for (const asdm::SitePhase& phase : resolved.phases) {
      require(!phase.sites.empty(), "a phase has sites");
      for (const asdm::NodeId site : phase.sites) {
        require(site >= 0 && site < static_cast<asdm::NodeId>(unet.topology.nodes.size()), "a site is a node");
      }
    }
    require_same(asdm::resolve_sites(unet.topology, unet.spec, level, written(unet.topology, resolved)), resolved);
    asdm::drop_dead_sites(unet.topology, resolved);
  });
  return 0;
}
