#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "native/format/unet_spec.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

using Ints = std::vector<int64_t>;

TEST(UNetSpec, PresetsHaveTheHostsValues) {
  struct Row {
    const char* name;
    Family family;
    Prediction prediction;
    int64_t model_channels;
    Ints channel_mult;
    Ints depth;
    Ints depth_output;
    int64_t depth_middle;
    int64_t context_dim;
    int64_t num_heads;
    int64_t num_head_channels;
    bool linear;
    int64_t adm;
  };
  const std::vector<Row> rows = {
      {"sd15",
       Family::kSD1,
       Prediction::kEpsilon,
       320,
       {1, 2, 4, 4},
       {1, 1, 1, 1, 1, 1, 0, 0},
       {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0},
       1,
       768,
       8,
       -1,
       false,
       0},
      {"sd21",
       Family::kSD2,
       Prediction::kEpsilon,
       320,
       {1, 2, 4, 4},
       {1, 1, 1, 1, 1, 1, 0, 0},
       {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0},
       1,
       1024,
       -1,
       64,
       true,
       0},
      {"sd21v",
       Family::kSD2,
       Prediction::kVelocity,
       320,
       {1, 2, 4, 4},
       {1, 1, 1, 1, 1, 1, 0, 0},
       {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0},
       1,
       1024,
       -1,
       64,
       true,
       0},
      {"sdxl",
       Family::kSDXL,
       Prediction::kEpsilon,
       320,
       {1, 2, 4},
       {0, 0, 2, 2, 10, 10},
       {0, 0, 0, 2, 2, 2, 10, 10, 10},
       10,
       2048,
       -1,
       64,
       true,
       2816},
      {"sdxl_refiner",
       Family::kSDXLRefiner,
       Prediction::kEpsilon,
       384,
       {1, 2, 4, 4},
       {0, 0, 4, 4, 4, 4, 0, 0},
       {0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0},
       4,
       1280,
       -1,
       64,
       true,
       2560},
  };
  ASSERT_EQ(preset_names().size(), rows.size());
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const UNetSpec spec = preset_spec(row.name);
    EXPECT_EQ(spec.family, row.family);
    EXPECT_EQ(spec.prediction, row.prediction);
    EXPECT_EQ(spec.in_channels, 4);
    EXPECT_EQ(spec.out_channels, 4);
    EXPECT_EQ(spec.model_channels, row.model_channels);
    EXPECT_EQ(spec.channel_mult, row.channel_mult);
    EXPECT_EQ(spec.num_res_blocks, Ints(row.channel_mult.size(), 2));
    EXPECT_EQ(spec.transformer_depth, row.depth);
    EXPECT_EQ(spec.transformer_depth_output, row.depth_output);
    EXPECT_EQ(spec.transformer_depth_middle, row.depth_middle);
    EXPECT_EQ(spec.context_dim, row.context_dim);
    EXPECT_EQ(spec.num_heads, row.num_heads);
    EXPECT_EQ(spec.num_head_channels, row.num_head_channels);
    EXPECT_EQ(spec.use_linear_in_transformer, row.linear);
    EXPECT_EQ(spec.adm_in_channels, row.adm);
  }
}

TEST(UNetSpec, EveryPresetCanBeNarrow) {
  for (const std::string& name : preset_names()) {
    for (const int64_t width : {32, 64, 96, 128}) {
      SCOPED_TRACE(name + " " + std::to_string(width));
      EXPECT_EQ(preset_spec(name, width).model_channels, width);
    }
  }
  EXPECT_EQ(preset_spec("sd21", 32).num_head_channels, 32);
  EXPECT_EQ(preset_spec("sd21", 64).num_head_channels, 64);
  EXPECT_EQ(preset_spec("sd15", 64).num_heads, 8);
}

TEST(UNetSpec, PresetErrorsNameTheKnown) {
  expect_contains(error_of([] { return preset_spec("sd3"); }),
                  "one of: sd15, sd21, sd21v, sdxl, sdxl_refiner, got 'sd3'");
  expect_contains(error_of([] { return preset_spec("sd15", 100); }),
                  "UNetSpec.model_channels: expected a multiple of 32");
}

TEST(UNetSpec, ValidateNamesFieldExpectedAndGot) {
  struct Row {
    std::function<void(UNetSpec&)> spoil;
    std::string message;
  };
  const std::vector<Row> rows = {
      {[](UNetSpec& s) { s.in_channels = 0; }, "UNetSpec.in_channels: expected 1 to 1048576, got 0"},
      {[](UNetSpec& s) { s.out_channels = -4; }, "UNetSpec.out_channels: expected 1 to 1048576, got -4"},
      {[](UNetSpec& s) { s.model_channels = 330; },
       "UNetSpec.model_channels: expected a multiple of 32 (GroupNorm has 32 groups), got 330"},
      {[](UNetSpec& s) { s.model_channels = int64_t{1} << 40; }, "UNetSpec.model_channels: expected 32 to 1048576"},
      {[](UNetSpec& s) { s.channel_mult.clear(); }, "UNetSpec.channel_mult: expected 1 to 16 levels, got 0 levels"},
      {[](UNetSpec& s) { s.channel_mult[2] = 0; }, "UNetSpec.channel_mult[2]: expected 1 to 64, got 0"},
      {[](UNetSpec& s) { s.num_res_blocks.pop_back(); },
       "UNetSpec.num_res_blocks: expected 4 entries (one per level of channel_mult), got 3 entries"},
      {[](UNetSpec& s) { s.num_res_blocks[0] = 0; }, "UNetSpec.num_res_blocks[0]: expected 1 to 64, got 0"},
      {[](UNetSpec& s) { s.transformer_depth.push_back(1); },
       "UNetSpec.transformer_depth: expected 8 entries (one per encoder ResBlock), got 9 entries"},
      {[](UNetSpec& s) { s.transformer_depth[1] = -1; }, "UNetSpec.transformer_depth[1]: expected 0 to 64, got -1"},
      {[](UNetSpec& s) { s.transformer_depth_output.pop_back(); },
       "UNetSpec.transformer_depth_output: expected 12 entries"},
      {[](UNetSpec& s) { s.transformer_depth_middle = -3; },
       "UNetSpec.transformer_depth_middle: expected -2 to 64, got -3"},
      {[](UNetSpec& s) { s.context_dim = 0; }, "UNetSpec.context_dim: expected 1 to"},
      {[](UNetSpec& s) { s.adm_in_channels = -1; }, "UNetSpec.adm_in_channels: expected 0 to"},
      {[](UNetSpec& s) { s.num_heads = -1; }, "UNetSpec.num_heads: expected 1 to"},
      {[](UNetSpec& s) { s.num_head_channels = 0; }, "UNetSpec.num_head_channels: expected 1 to"},
      {[](UNetSpec& s) { s.num_heads = 7; },
       "UNetSpec.num_heads: expected a divisor of 320, the width of the transformer at transformer_depth[0], got 7"},
      {[](UNetSpec& s) { s.num_head_channels = 48; }, "UNetSpec.num_head_channels: expected a divisor of 320"},
  };
  for (const Row& row : rows) {
    UNetSpec spec = preset_spec("sd15");
    row.spoil(spec);
    expect_contains(error_of([&] {
                      spec.validate();
                      return 0;
                    }),
                    row.message);
  }
}

TEST(UNetSpec, HeadsMatterOnlyWhereATransformerIs) {
  UNetSpec spec = preset_spec("sdxl");  // no transformer at 320 channels
  spec.num_head_channels = 128;
  EXPECT_NO_THROW(spec.validate());
  spec.transformer_depth[0] = 1;
  expect_contains(error_of([&] {
                    spec.validate();
                    return 0;
                  }),
                  "transformer_depth[0]");
  spec.transformer_depth[0] = 0;
  spec.transformer_depth_output[0] = 1;  // read forwards, the first entry belongs to level 0
  expect_contains(error_of([&] {
                    spec.validate();
                    return 0;
                  }),
                  "transformer_depth_output[0]");
}

TEST(UNetSpec, LevelsMayDifferAndTheMiddleMayBeAbsent) {
  UNetSpec spec = preset_spec("sd15");
  spec.num_res_blocks = {2, 1, 2, 2};
  spec.transformer_depth = {1, 1, 1, 1, 1, 0, 0};
  spec.transformer_depth_output = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
  spec.transformer_depth_middle = -2;
  EXPECT_NO_THROW(spec.validate());
}

TEST(UNetSpec, IsBoundedBeforeAnythingIsMadeOfIt) {
  UNetSpec wide = preset_spec("sd15");
  wide.channel_mult.assign(16, 1);
  wide.num_res_blocks.assign(16, 64);
  wide.transformer_depth.assign(16 * 64, 64);
  wide.transformer_depth_output.assign(16 * 65, 64);
  expect_contains(error_of([&] { return wide.validate(), 0; }),
                  "the sum of UNetSpec.num_res_blocks: expected 1 to 128, got 1024");
  UNetSpec deep = preset_spec("sd15");
  deep.transformer_depth.assign(8, 64);
  deep.transformer_depth_output.assign(12, 64);
  expect_contains(error_of([&] { return deep.validate(), 0; }),
                  "the transformer blocks of UNetSpec: expected -2 to 1024, got 1281");
  UNetSpec lacking = preset_spec("sd15");
  lacking.removed.assign(100'000, "in.1.attn.0");
  EXPECT_LT(error_of([&] { return lacking.validate(), 0; }).size(), 10'000U);
}

}  // namespace
}  // namespace asdm
