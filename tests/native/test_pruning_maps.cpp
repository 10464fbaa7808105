#include <gtest/gtest.h>

#include "native/assembly/pruning_maps.h"
#include "native/format/unet_layout.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

using Names = std::vector<std::string>;

Names removed_by(const char* map, const char* preset) {
  const UNetSpec full = preset_spec(preset);
  return without(full, pruning_map(map, full)).removed;
}

TEST(PruningMaps, TakeWhatTheyAreKnownFor) {
  struct Row {
    const char* map;
    const char* preset;
    Names removed;
  };
  const std::vector<Row> rows = {
      {"s0", "sd15", {"in.2", "out.10"}},
      {"s0_s1", "sd15", {"in.2", "in.5", "out.7", "out.10"}},
      {"s0_s1_s2", "sd15", {"in.2", "in.5", "in.8", "out.4", "out.7", "out.10"}},
      {"thin", "sd15", {"in.2.attn", "out.9.attn", "out.10.attn"}},
      {"bk_base", "sd15", {"in.2", "in.5", "in.8", "in.11", "out.1", "out.4", "out.7", "out.10"}},
      {"bk_small", "sd21", {"in.2", "in.5", "in.8", "in.11", "mid", "out.1", "out.4", "out.7", "out.10"}},
      {"bk_tiny",
       "sd15",
       {"in.2", "in.5", "in.8", "in.9", "in.10", "in.11", "mid", "out.0", "out.1", "out.2", "out.4", "out.7",
        "out.10"}},
      {"s0_s1", "sdxl", {"in.2", "in.5", "out.4", "out.7"}},
      {"bk_base", "sdxl", {"in.2", "in.5", "in.8", "out.1", "out.4", "out.7"}},
      {"bk_small", "sdxl", {"in.2", "in.5", "in.8", "mid", "out.1", "out.4", "out.7"}},
      {"koala_700m", "sdxl", {"in.2",         "in.5",         "in.7.attn.5",  "in.7.attn.6",  "in.7.attn.7",
                              "in.7.attn.8",  "in.7.attn.9",  "in.8",         "mid",          "out.0.attn.5",
                              "out.0.attn.6", "out.0.attn.7", "out.0.attn.8", "out.0.attn.9", "out.1",
                              "out.2.attn.5", "out.2.attn.6", "out.2.attn.7", "out.2.attn.8", "out.2.attn.9",
                              "out.4",        "out.7"}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(removed_by(row.map, row.preset), row.removed) << row.map << " of " << row.preset;
  }
}

TEST(PruningMaps, TheMapsOfSDXLKeepTheirTransformerBlocks) {
  struct Row {
    const char* map;
    std::vector<int64_t> depths;  // in evaluation order
  };
  for (const Row& row : {Row{"ssd_1b", {2, 2, 4, 4, 4, 4, 10, 2, 1, 1}}, Row{"vega", {1, 1, 2, 2, 2, 2, 2, 1, 1, 1}},
                         Row{"koala_1b", {2, 6, 6, 6, 6, 2, 2}}, Row{"koala_700m", {2, 5, 5, 5, 2, 2}}}) {
    UNetSpec spec = preset_spec("sdxl");
    spec.removed = removed_by(row.map, "sdxl");
    std::vector<int64_t> depths;
    for (const BlockLayout& block : make_layout(spec)) {
      for (const LayerLayout& layer : block.layers) {
        if (layer.kind == LayerKind::kTransformer) {
          depths.push_back(static_cast<int64_t>(layer.transformer_blocks.size()));
        }
      }
    }
    EXPECT_EQ(depths, row.depths) << row.map;
  }
}

TEST(PruningMaps, AMapForAnotherArchitectureIsRefused) {
  EXPECT_EQ(error_of([] { return pruning_map("vega", preset_spec("sd15")); }),
            "preset 'vega': expected a UNet with SDXL, got sd1");
  EXPECT_EQ(error_of([] { return pruning_map("thin", preset_spec("sdxl")); }),
            "preset 'thin': expected a UNet with transformers at the latent's resolution, got none");
  expect_contains(error_of([] { return removed_by("bk_tiny", "sdxl"); }),
                  "UNetSpec.removed: expected 1920 channels with those of its skip before out.3.res, got 1280");
  UNetSpec short_levels = preset_spec("sd15");
  short_levels.num_res_blocks = {1, 1, 1, 1};
  short_levels.transformer_depth = {1, 1, 1, 0};
  short_levels.transformer_depth_output = {1, 1, 1, 1, 1, 1, 0, 0};
  EXPECT_EQ(error_of([&] { return pruning_map("s0", short_levels); }),
            "preset 's0': expected a UNet with two ResBlocks in each level of the encoder, got 1 in level 0");
  expect_contains(error_of([] { return pruning_map("s9", preset_spec("sd15")); }),
                  "preset: expected one of: s0, s0_s1, s0_s1_s2, thin, bk_base");
}

TEST(PruningMaps, TakeTheDeepestLevelOfAUNetWithoutAMiddle) {
  UNetSpec spec = preset_spec("sd15");
  spec.transformer_depth_middle = -2;  // as the host calls it
  expect_contains(error_of([&] { return without(spec, pruning_map("bk_tiny", spec)); }), "mid");
}

}  // namespace
}  // namespace asdm
