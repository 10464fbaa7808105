#include <gtest/gtest.h>

#include "native/format/unet_layout.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;

using Names = std::vector<std::string>;

UNetSpec smaller(const Names& removed, const char* preset = "sd15") {
  UNetSpec spec = preset_spec(preset);
  spec.removed = removed;
  return spec;
}

/// "out.9<-in.1" of each decoder block.
Names pairs_of(const UNetSpec& spec) {
  Names pairs;
  for (const BlockLayout& block : make_layout(spec)) {
    if (block.skip >= 0) {
      pairs.push_back(block.address + "<-in." + std::to_string(block.skip));
    }
  }
  return pairs;
}

TEST(UNetRemoval, SkipsPairUpAnew) {
  EXPECT_EQ(pairs_of(smaller({"in.2", "out.10"})),
            (Names{"out.0<-in.11", "out.1<-in.10", "out.2<-in.9", "out.3<-in.8", "out.4<-in.7", "out.5<-in.6",
                   "out.6<-in.5", "out.7<-in.4", "out.8<-in.3", "out.9<-in.1", "out.11<-in.0"}));
  EXPECT_EQ(pairs_of(smaller({"in.2", "in.5", "in.8", "in.11", "out.1", "out.4", "out.7", "out.10"})),
            (Names{"out.0<-in.10", "out.2<-in.9", "out.3<-in.7", "out.5<-in.6", "out.6<-in.4", "out.8<-in.3",
                   "out.9<-in.1", "out.11<-in.0"}));
}

TEST(UNetRemoval, WhatIsLeftKeepsItsNumbers) {
  UNetSpec spec = smaller({"in.2", "in.7.attn.1", "in.7.attn.3", "mid.attn", "mid.res1", "out.7"}, "sdxl");
  const UNetLayout layout = make_layout(spec);
  EXPECT_EQ(layout.size(), 17U);
  const BlockLayout& deep = layout.at(6);
  EXPECT_EQ(deep.address, "in.7");
  EXPECT_EQ(deep.layers.at(1).transformer_blocks, (std::vector<int64_t>{0, 2, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(deep.layers.at(1).transformer_index, 2);
  const BlockLayout& middle = layout.at(8);
  ASSERT_EQ(middle.layers.size(), 1U);
  EXPECT_EQ(middle.layers[0].key, "middle_block.0");
  EXPECT_EQ(layout.at(9).layers.at(1).transformer_index, 5) << "as if the middle still had its own";
}

TEST(UNetRemoval, ListsAreWrittenInOneWay) {
  const UNetSpec full = preset_spec("sd15");
  EXPECT_EQ(without(full, {"out.10", "in.2.attn", "in.2.res"}).removed, (Names{"in.2", "out.10"}));
  EXPECT_EQ(without(full, {"mid.attn.0"}).removed, (Names{"mid.attn"}));
  EXPECT_EQ(without(without(full, {"in.2", "out.10"}), {"in.2.attn", "out.7.attn"}).removed,
            (Names{"in.2", "out.7.attn", "out.10"}));
  EXPECT_EQ(error_of([] { return make_layout(smaller({"out.10", "in.2"})); }),
            "UNetSpec.removed: expected whole parts in evaluation order: in.2, out.10, got out.10, in.2");
  EXPECT_EQ(error_of([] { return make_layout(smaller({"mid.res0", "mid.attn", "mid.res1"})); }),
            "UNetSpec.removed: expected whole parts in evaluation order: mid, got mid.res0, mid.attn, mid.res1");
}

TEST(UNetRemoval, WhatLeavesNoUNetIsRefusedWithTheReason) {
  struct Row {
    Names removed;
    const char* message;
  };
  const std::vector<Row> rows = {
      {{"out.10"},
       "expected as many encoder as decoder blocks at each resolution, got encoder in.0, in.1, in.2 and decoder out.9, "
       "out.11 at 1/1 of the latent: the skip of in.1 lost its consumer out.10"},
      {{"in.8"},
       "expected as many encoder as decoder blocks at each resolution, got encoder in.6, in.7 and decoder out.3, "
       "out.4, out.5 at 1/4 of the latent: out.3 lost its skip, that of in.8"},
      {{"out.4.res"}, "got out.4.res alone, so that the skip of in.7 lost its consumer"},
      {{"in.4", "out.7"}, "expected 640 channels before in.5.res, got 320 from in.3.down"},
      {{"in.9", "out.0"}, "expected 1/8 of the latent's resolution before in.10, got 1/4 from in.8.attn"},
      {{"out.8.up"}, "expected 1/1 of the latent's resolution before out.9, got 1/2 from out.8.attn"},
      {{"in.1", "out.9"}, "expected 640 channels with those of its skip before out.10.res, got 960 from out.8.up"},
      {{"in.0", "out.11"}, "expected 320 channels before in.1.res, got 4 from the latent"},
      {{"in.99"}, "expected one of: in.0, in.1, "},
      {{"in.1.attn.0.ff"}, "got 'in.1.attn.0.ff'"},
  };
  for (const Row& row : rows) {
    testing::expect_contains(error_of([&] { return make_layout(smaller(row.removed)); }), row.message);
  }
}

TEST(UNetRemoval, TravelsInTheSpecAndIsCheckedThere) {
  const UNetSpec spec = smaller({"in.2", "out.10"});
  const std::string json = to_json(spec);
  testing::expect_contains(json, R"("removed":["in.2","out.10"])");
  EXPECT_EQ(spec_from_json(json), spec);
  EXPECT_EQ(to_json(preset_spec("sd15")).find("removed"), std::string::npos);
  testing::expect_contains(error_of([] { return spec_from_json(to_json(smaller({"out.10"}))); }),
                           "the skip of in.1 lost its consumer out.10");
  std::string typed = json;
  typed.replace(typed.find(R"(["in.2")"), 7, R"([2)");
  testing::expect_contains(error_of([&] { return spec_from_json(typed); }),
                           "UNetSpec.removed[0]: expected a string, got 2");
}

}  // namespace
}  // namespace asdm
