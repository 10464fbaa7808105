#include "native/planning/presets.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "native/base/name_table.h"

namespace asdm {
namespace {

/// SDXL spends its work in deep transformers, SD1.x and SD2.x at full resolution.
bool works_deep(const UNetSpec& spec) { return spec.family == Family::kSDXL || spec.family == Family::kSDXLRefiner; }

/// Blocks between cuts that follow each other from phase to phase.
constexpr NodeId kCutStep = 2;

using LayerTest = std::function<bool(const BlockTopology&, const LayerTopology&)>;

std::vector<NodeId> layers_where(const Topology& topology, const LayerTest& test) {
  std::vector<NodeId> found;
  for (const BlockTopology& block : topology.blocks) {
    for (const LayerTopology& layer : block.layers) {
      if (test(block, layer)) {
        found.push_back(layer.node);
      }
    }
  }
  return found;
}

std::vector<NodeId> transformers(const Topology& topology) {
  return layers_where(
      topology, [](const BlockTopology&, const LayerTopology& layer) { return layer.kind == LayerKind::kTransformer; });
}

/// The units `kinds` of all transformers in blocks at `level`, or at any for a negative one.
std::vector<NodeId> transformer_units(const Topology& topology, const std::vector<TransformerUnit>& kinds,
                                      int64_t level = -1) {
  std::vector<NodeId> found;
  for (const NodeId id : transformers(topology)) {
    const Node& node = topology.node(id);
    if (level >= 0 && topology.block(node.block).level != level) {
      continue;
    }
    const LayerTopology& layer = topology.layer(node);
    for (int64_t unit = 0; unit < layer.units; ++unit) {
      if (std::find(kinds.begin(), kinds.end(), unit % kTransformerUnits) != kinds.end()) {
        found.push_back(layer.first_unit + unit);
      }
    }
  }
  return found;
}

/// The levels that have transformers: the shallowest and the deepest.
std::pair<int64_t, int64_t> transformer_levels(const Topology& topology) {
  std::pair<int64_t, int64_t> levels{-1, -1};
  for (const NodeId id : transformers(topology)) {
    const int64_t level = topology.block(topology.node(id).block).level;
    levels.first = levels.first < 0 ? level : std::min(levels.first, level);
    levels.second = std::max(levels.second, level);
  }
  return levels;
}

/// The cut that leaves only the outermost block on either way alive.
NodeId shallowest_cut(const Topology& topology) { return std::max(topology.whole() - 2, topology.first_output()); }

/// SD1.x and SD2.x spend most of their work at full resolution, so the cut sits just below it (62 % of the MACs dead
/// at 64x64). SDXL spends it in the deep transformers: the same rule would leave 7 % alive and inherit nearly all
/// there is, so its cut lies one level deeper (69 % dead).
NodeId automatic_cut(const Topology& topology, const UNetSpec& spec) {
  const int64_t deepest_live = works_deep(spec) ? 1 : 0;
  NodeId live = topology.first_output();
  while (topology.block(live).level > deepest_live) {
    ++live;
  }
  return std::max(live - 1, topology.first_output());
}

/// Whole SpatialTransformers: all of SD1.x's (48 % of the MACs), and the deep ones of SDXL (60 % for 30 MiB, where one
/// kind of unit would take 400 MiB).
std::vector<NodeId> automatic_layers(const Topology& topology, const UNetSpec& spec) {
  const int64_t deepest = transformer_levels(topology).second;
  const bool deep = works_deep(spec);
  return layers_where(topology, [&](const BlockTopology& block, const LayerTopology& layer) {
    return layer.kind == LayerKind::kTransformer && (!deep || block.level == deepest);
  });
}

/// SD1.x and SD2.x: the units at full resolution, where attention over 4096 tokens costs most (23 % of the MACs).
/// SDXL: self-attention and feed-forward of the deep transformers, which are most of it.
std::vector<NodeId> automatic_units(const Topology& topology, const UNetSpec& spec) {
  const auto [shallowest, deepest] = transformer_levels(topology);
  return works_deep(spec) ? transformer_units(topology, {kAttn1Unit, kFeedForwardUnit}, deepest)
                          : transformer_units(topology, {kAttn1Unit, kAttn2Unit, kFeedForwardUnit}, shallowest);
}

std::vector<NodeId> encoder(const Topology& topology) {
  std::vector<NodeId> nodes;
  for (NodeId node = 0; node < topology.first_output(); ++node) {
    nodes.push_back(node);
  }
  return nodes;
}

/// Layers of the second block of each level, on both ways: those that pruned Stable Diffusion UNets (BK-SDM) live
/// without.
std::vector<NodeId> second_layers(const Topology& topology, const UNetSpec& spec) {
  std::vector<NodeId> blocks;
  int64_t number = 1;
  for (const int64_t res_blocks : spec.num_res_blocks) {
    if (res_blocks > 1) {
      blocks.push_back(topology.input(number + 1));
    }
    number += res_blocks + 1;  // and a Downsample
  }
  number = 0;
  for (auto res_blocks = spec.num_res_blocks.rbegin(); res_blocks != spec.num_res_blocks.rend(); ++res_blocks) {
    if (*res_blocks > 1) {  // with three blocks or more, the second is neither the first nor the one that enlarges
      blocks.push_back(topology.output(number + 1));
    }
    number += *res_blocks + 1;
  }
  return layers_where(topology, [&](const BlockTopology& block, const LayerTopology& layer) {
    const NodeId id = &block - topology.blocks.data();
    return layer.is_residual() && std::find(blocks.begin(), blocks.end(), id) != blocks.end();
  });
}

struct Preset {
  const char* name;
  std::vector<NodeId> (*sites)(const Topology&, const UNetSpec&);
};

/// Shares are of SD1.x's MACs at 64x64 and SDXL's at 128x128.
constexpr std::array kPresets = {
    // Faster Diffusion: all skips and the middle; the decoder runs with fresh time steps (33 %, 43 %).
    Preset{"encoder", [](const Topology& t, const UNetSpec&) { return encoder(t); }},
    // DeepCache's branch 0: all but the outermost blocks (92 %, 99 %).
    Preset{"deepcache", [](const Topology& t, const UNetSpec&) { return std::vector<NodeId>{shallowest_cut(t)}; }},
    // The largest unit of SD1.x (22 %, 25 %).
    Preset{"attn1", [](const Topology& t, const UNetSpec&) { return transformer_units(t, {kAttn1Unit}); }},
    // The prompt's influence settles early (T-GATE), and little depends on it later (4 %, 8 %).
    Preset{"attn2", [](const Topology& t, const UNetSpec&) { return transformer_units(t, {kAttn2Unit}); }},
    // The largest unit of SDXL (19 %, 42 %).
    Preset{"ff", [](const Topology& t, const UNetSpec&) { return transformer_units(t, {kFeedForwardUnit}); }},
    // Every SpatialTransformer as a whole (48 %, 76 %).
    Preset{"transformers", [](const Topology& t, const UNetSpec&) { return transformers(t); }},
    // (35 %, 33 %).
    Preset{"second_layers", &second_layers},
};

}  // namespace

std::vector<NodeId> automatic_sites(const Topology& topology, const UNetSpec& spec, SiteLevel level) {
  switch (level) {
    case SiteLevel::kBlock:
      return {automatic_cut(topology, spec)};
    case SiteLevel::kLayer:
      return automatic_layers(topology, spec);
    case SiteLevel::kUnit:
      return automatic_units(topology, spec);
  }
  return {};
}

/// What is inherited late shows in the picture, what is inherited early is mended behind it, so more stays alive from
/// phase to phase: the cuts two blocks above automatic_cut(), at it, and two below (8, 38 and 56 % of SD1.x's MACs at
/// 64x64, 13, 31 and 66 % of SDXL's at 128x128). Chosen on the demo model, an SD1.x (benchmark "quality"); SDXL's
/// follow from that.
std::vector<SitePhase> automatic_phases(const Topology& topology, const UNetSpec& spec) {
  const NodeId middle = automatic_cut(topology, spec);
  const NodeId shallow = std::min(middle + kCutStep, shallowest_cut(topology));
  const NodeId deep = std::max(middle - kCutStep, topology.first_output());
  return {{.start = 0.0, .end = 0.5, .sites = {shallow}},
          {.start = 0.5, .end = 0.8, .sites = {middle}},
          {.start = 0.8, .end = 1.0, .sites = {deep}}};
}

std::vector<std::string> preset_site_names() { return names_of(kPresets); }

std::vector<NodeId> preset_sites(const Topology& topology, const UNetSpec& spec, std::string_view name) {
  return value_named(kPresets, "sites", name)(topology, spec);
}

NodeId cut_behind(const Topology& topology, NodeId input) {
  // The first that still needs what lies behind `input` is the one whose skip that block is, and the cut is what comes
  // before it.
  NodeId taker = topology.first_output();
  while (topology.block(taker).skip != input) {
    ++taker;
  }
  return taker - 1;
}

std::vector<NodeId> level_cuts(const Topology& topology) {
  const auto goes_down = [&](NodeId node) {
    return topology.is_input(node) && topology.block(node).layers.front().kind == LayerKind::kDown;
  };
  std::vector<NodeId> cuts;
  for (NodeId node = 0; topology.is_input(node); ++node) {
    const bool ends_level = !topology.is_input(node + 1) || goes_down(node + 1);
    if (const NodeId cut = cut_behind(topology, node); ends_level && !goes_down(node) && cut != node) {
      cuts.push_back(cut);
    }
  }
  return cuts;
}

}  // namespace asdm
