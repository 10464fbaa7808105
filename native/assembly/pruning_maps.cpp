#include "native/assembly/pruning_maps.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "native/base/name_table.h"
#include "native/format/unet_layout.h"

namespace asdm {
namespace {

using Addresses = std::vector<std::string>;

/// Collects what a map takes.
class Pruning {
 public:
  Pruning(std::string_view name, const UNetSpec& spec) : name_(name), spec_(spec), full_(full_layout(spec)) {}

  /// The second block of each of the `count` shallowest levels, on both ways: the decoder's second is neither the one
  /// whose shape differs, nor the one that enlarges.
  Pruning& second_blocks(int64_t count) {
    for (int64_t level = 0; level < std::min(count, levels()); ++level) {
      take(second(BlockKind::kInput, level).address);
      take(second(BlockKind::kOutput, level).address);
    }
    return *this;
  }

  /// The SpatialTransformers of the level with the latent's resolution, but for the first and the last.
  Pruning& inner_transformers() {
    for (const BlockLayout& block : full_) {
      const bool inner =
          block.kind == BlockKind::kInput ? &block == &second(BlockKind::kInput, 0) : &block != &full_.back();
      if (block.kind == BlockKind::kMiddle || block.level != 0 || !inner) {
        continue;
      }
      for (const LayerLayout& layer : block.layers) {
        if (layer.kind == LayerKind::kTransformer) {
          take(layer.address);
        }
      }
    }
    if (taken_.empty()) {
      throw misfit("transformers at the latent's resolution", "none");
    }
    return *this;
  }

  Pruning& middle() { return take("mid"); }

  /// The deepest level whole, with the Downsample before it.
  Pruning& deepest_level() {
    for (const BlockLayout& block : full_) {
      if (block.kind == BlockKind::kMiddle) {  // which may have no layers
        continue;
      }
      const bool goes_down = block.layers.front().kind == LayerKind::kDown && block.level == levels() - 2;
      if (block.level == levels() - 1 || goes_down) {
        take(block.address);
      }
    }
    return *this;
  }

  /// Keeps the first transformer blocks of each transformer in `depths`: those that survive in the published files are
  /// numbered anew, so that nobody can tell which of the full UNet's they were.
  Pruning& transformer_depths(const std::map<std::string, int64_t>& depths) {
    for (const BlockLayout& block : full_) {
      for (const LayerLayout& layer : block.layers) {
        const auto found = depths.find(block.address);
        if (layer.kind != LayerKind::kTransformer || found == depths.end()) {
          continue;
        }
        for (const int64_t number : layer.transformer_blocks) {
          if (number >= found->second) {
            take(layer.address + "." + std::to_string(number));
          }
        }
      }
    }
    return *this;
  }

  Pruning& take(std::string address) {
    taken_.push_back(std::move(address));
    return *this;
  }

  Pruning& only_sdxl() {
    if (spec_.family != Family::kSDXL) {
      throw misfit("SDXL", std::string(to_string(spec_.family)));
    }
    return *this;
  }

  Addresses taken() { return std::move(taken_); }

 private:
  [[nodiscard]] int64_t levels() const { return static_cast<int64_t>(spec_.channel_mult.size()); }

  [[nodiscard]] Error misfit(const std::string& expected, const std::string& got) const {
    return invalid_input("preset '" + std::string(name_) + "'", "a UNet with " + expected, got);
  }

  [[nodiscard]] const BlockLayout& second(BlockKind kind, int64_t level) const {
    const BlockLayout* first = nullptr;
    for (const BlockLayout& block : full_) {
      if (block.kind != kind || block.level != level || block.layers.front().kind != LayerKind::kRes) {
        continue;
      }
      if (first != nullptr && spec_.num_res_blocks[static_cast<size_t>(level)] == 2) {
        return block;
      }
      first = &block;
    }
    throw misfit(
        "two ResBlocks in each level of the encoder",
        std::to_string(spec_.num_res_blocks[static_cast<size_t>(level)]) + " in level " + std::to_string(level));
  }

  std::string_view name_;
  const UNetSpec& spec_;
  UNetLayout full_;
  Addresses taken_;
};

constexpr int64_t kAllLevels = 16;

Pruning& koala(Pruning& p, int64_t depth) {
  return p.only_sdxl()
      .second_blocks(kAllLevels)
      .transformer_depths({{"in.7", depth}, {"mid", depth}, {"out.0", depth}, {"out.2", depth}});
}

Pruning& one_res_middle(Pruning& p) { return p.only_sdxl().take("mid.attn").take("mid.res1"); }

using Map = void (*)(Pruning&);
constexpr std::array<std::pair<const char*, Map>, 11> kMaps = {{
    {"s0", [](Pruning& p) { p.second_blocks(1); }},
    {"s0_s1", [](Pruning& p) { p.second_blocks(2); }},
    {"s0_s1_s2", [](Pruning& p) { p.second_blocks(3); }},
    {"thin", [](Pruning& p) { p.inner_transformers(); }},
    {"bk_base", [](Pruning& p) { p.second_blocks(kAllLevels); }},
    {"bk_small", [](Pruning& p) { p.second_blocks(kAllLevels).middle(); }},
    {"bk_tiny", [](Pruning& p) { p.second_blocks(kAllLevels).middle().deepest_level(); }},
    {"ssd_1b",
     [](Pruning& p) {
       one_res_middle(p).transformer_depths(
           {{"in.7", 4}, {"in.8", 4}, {"out.0", 4}, {"out.1", 4}, {"out.4", 1}, {"out.5", 1}});
     }},
    {"vega",
     [](Pruning& p) {
       one_res_middle(p).transformer_depths({{"in.4", 1},
                                             {"in.5", 1},
                                             {"in.7", 2},
                                             {"in.8", 2},
                                             {"out.0", 2},
                                             {"out.1", 2},
                                             {"out.2", 2},
                                             {"out.3", 1},
                                             {"out.4", 1},
                                             {"out.5", 1}});
     }},
    {"koala_1b", [](Pruning& p) { koala(p, 6); }},
    {"koala_700m", [](Pruning& p) { koala(p, 5).middle(); }},
}};

}  // namespace

std::vector<std::string> pruning_map_names() { return names_of(kMaps); }

std::vector<std::string> pruning_map(std::string_view name, const UNetSpec& spec) {
  Pruning pruning(name, spec);
  value_named(kMaps, "preset", name)(pruning);
  return pruning.taken();
}

}  // namespace asdm
