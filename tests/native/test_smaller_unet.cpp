// UNets that lack parts: cost, sites, inheritance, control and hooks in the numbers of the full one.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "native/assembly/pruning_maps.h"
#include "native/base/error.h"
#include "native/format/unet_layout.h"
#include "native/planning/cost.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::TinyUNet;

UNetSpec pruned(const char* map, UNetSpec full) { return without(full, pruning_map(map, full)); }

int64_t parameters_of(const UNetSpec& spec) {
  int64_t parameters = 0;
  const UNet unet(spec);
  for (const LeafInfo& leaf : unet.leaves()) {
    parameters += std::accumulate(leaf.shape.begin(), leaf.shape.end(), int64_t{1}, std::multiplies<>()) +
                  (leaf.has_bias ? leaf.shape.front() : 0);
  }
  return parameters;
}

TEST(SmallerUNet, SizeAndCostAreThePublishedOnes) {
  struct Row {
    const char* map;
    const char* preset;
    int64_t size;       // of the latent
    double parameters;  // millions
    double gmacs;
  };
  const std::vector<Row> rows = {
      {"s0", "sd15", 64, 848.8, 343.2},           {"s0_s1", "sd15", 64, 809.5, 303.7},
      {"s0_s1_s2", "sd15", 64, 659.7, 266.4},     {"thin", "sd15", 64, 851.9, 343.5},
      {"bk_base", "sd15", 64, 579.4, 261.5},      {"bk_small", "sd15", 64, 482.3, 255.4},
      {"bk_tiny", "sd15", 64, 323.4, 242.8},      {"bk_tiny", "sd21", 96, 326.8, 648.8},
      {"s0_s1", "sdxl", 128, 2499.3, 3007.1},     {"bk_base", "sdxl", 128, 1717.3, 2251.7},
      {"bk_small", "sdxl", 128, 1304.2, 1853.1},  {"ssd_1b", "sdxl", 128, 1331.3, 2103.9},
      {"vega", "sdxl", 128, 745.2, 1411.2},       {"koala_1b", "sdxl", 128, 1161.2, 1715.9},
      {"koala_700m", "sdxl", 128, 782.8, 1350.8},
  };
  for (const Row& row : rows) {
    const UNetSpec spec = pruned(row.map, preset_spec(row.preset));
    EXPECT_NEAR(static_cast<double>(parameters_of(spec)) / 1e6, row.parameters, 0.051) << row.map << row.preset;
    const double macs = static_cast<double>(full_macs(make_topology(spec), {row.size, row.size, 77}));
    EXPECT_NEAR(macs / 1e9, row.gmacs, 0.07) << row.map << " " << row.preset;
  }
  EXPECT_EQ(parameters_of(pruned("bk_base", preset_spec("sd15"))), 579384964);
  EXPECT_EQ(parameters_of(pruned("bk_tiny", preset_spec("sd15"))), 323384964);
}

TinyUNet tiny(const char* map, const char* preset = "sd15") {
  return {std::string(preset) + " " + map, pruned(map, testing::tiny_spec(preset))};
}

TEST(SmallerUNet, AutomaticSitesLieWhereTheyDoInTheFullOne) {
  struct Row {
    const char* map;
    const char* level;
    const char* first;
    const char* last;
  };
  for (const Row& row : {Row{"s0_s1", "block", "out.8", "out.8"}, Row{"bk_tiny", "block", "out.8", "out.8"},
                         Row{"bk_base", "layer", "in.1.attn", "out.11.attn"},
                         Row{"bk_base", "unit", "in.1.attn.0.attn1", "out.11.attn.0.ff"}}) {
    const TinyUNet unet = tiny(row.map);
    const std::vector<NodeId> sites = unet.sites("auto", row.level);
    EXPECT_EQ(unet.unet.topology().node(sites.front()).address, row.first) << row.map;
    EXPECT_EQ(unet.unet.topology().node(sites.back()).address, row.last) << row.map;
  }
  const TinyUNet base = tiny("bk_base");
  EXPECT_THROW((void)base.sites("in.2"), Error);
  EXPECT_EQ(base.sites("in.*"), (std::vector<NodeId>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(SmallerUNet, LevelCutsSkipTheLevelThatIsGone) {
  const auto cuts_of = [](const char* map) {
    const Topology topology = make_topology(pruned(map, preset_spec("sd15")));
    std::vector<std::string> cuts;
    for (const NodeId cut : level_cuts(topology)) {
      cuts.push_back(topology.node(cut).address);
    }
    return cuts;
  };
  EXPECT_EQ(cuts_of("s0_s1"), (std::vector<std::string>{"out.8", "out.5", "out.2", "mid"}));
  EXPECT_EQ(cuts_of("bk_tiny"), (std::vector<std::string>{"out.8", "out.5"}));
}

TEST(SmallerUNet, NothingInheritedChangesNothingAndACutIsStored) {
  for (const char* map : {"s0", "s0_s1_s2", "thin", "bk_base", "bk_small", "bk_tiny"}) {
    TinyUNet unet = tiny(map);
    const ForwardInputs inputs = unet.inputs(9, 7, 2);
    const at::Tensor plain = unet.full(inputs);
    asdm::Run run = testing::inheriting_run(unet, "auto");
    Hooks none;
    EXPECT_TRUE(unet.evaluate(run, 10, inputs, none).equal(plain)) << map;
    EXPECT_TRUE(at::allclose(unet.evaluate(run, 9, inputs, none), plain, 1e-5, 1e-5)) << map;
    EXPECT_EQ(run.plan()[1].size(), 1U);
  }
}

TEST(SmallerUNet, EverySiteServesUnchangedInputs) {
  TinyUNet unet = tiny("bk_small");
  const ForwardInputs inputs = unet.inputs();
  const at::Tensor plain = unet.full(inputs);
  Hooks none;
  for (const char* sites : {"encoder", "deepcache", "transformers", "attn1", "ff", "out.0", "in.*.res", "in.10"}) {
    asdm::Run run = testing::inheriting_run(unet, sites);
    (void)unet.evaluate(run, 10, inputs, none);
    EXPECT_TRUE(at::allclose(unet.evaluate(run, 9, inputs, none), plain, 1e-4, 1e-5)) << sites;
  }
}

/// Notes where the blocks and transformers say that they are.
struct Places final : Hooks {
  std::vector<std::string> blocks;
  std::vector<std::pair<int64_t, int64_t>> transformer_blocks;

  bool follows_blocks() const override { return true; }
  bool hooks_transformers() const override { return true; }
  void enter_block(BlockKind kind, int64_t number) override {
    blocks.push_back(std::string(to_string(kind)) + std::to_string(number));
  }
  void enter_transformer_block(const TransformerSite& site) override {
    transformer_blocks.emplace_back(site.transformer_index, site.block_index);
  }
};

TEST(SmallerUNet, HooksHearTheNumbersOfTheFullOne) {
  UNetSpec full = testing::tiny_spec("sdxl");
  const UNetSpec spec = without(full, {"in.2", "in.7.attn.0", "mid", "out.7"});
  TinyUNet unet("sdxl with a gap", spec);
  Places places;
  (void)unet.full(unet.inputs(), places);
  EXPECT_EQ(places.blocks, (std::vector<std::string>{"input0", "input1", "input3", "input4", "input5", "input6",
                                                     "input7", "input8", "output0", "output1", "output2", "output3",
                                                     "output4", "output5", "output6", "output8"}));
  using Place = std::pair<int64_t, int64_t>;
  EXPECT_EQ(std::vector<Place>(places.transformer_blocks.begin(), places.transformer_blocks.begin() + 9),
            (std::vector<Place>{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 1}, {3, 0}, {3, 1}, {5, 0}, {5, 1}}));
}

TEST(SmallerUNet, ControlIsTakenByTheNumbersOfTheFullOne) {
  TinyUNet unet = tiny("bk_small");
  const at::Tensor plain = unet.full(unet.inputs());
  const auto with = [&](std::vector<at::Tensor> Control::* list, size_t count, size_t from_end, at::Tensor residual) {
    ForwardInputs inputs = unet.inputs();
    (inputs.control.*list).resize(count);
    (inputs.control.*list)[count - 1 - from_end] = std::move(residual);
    return unet.full(inputs);
  };
  // in.2 is gone, and so is what is meant for it; in.3 still gets its own.
  EXPECT_TRUE(with(&Control::input, 12, 2, testing::noise({1, 32, 8, 8}, 7)).equal(plain));
  EXPECT_FALSE(with(&Control::input, 12, 3, testing::noise({1, 32, 4, 4}, 7)).equal(plain));
  EXPECT_TRUE(with(&Control::middle, 1, 0, testing::noise({1, 128, 1, 1}, 7)).equal(plain));
  EXPECT_TRUE(with(&Control::output, 12, 10, testing::noise({1, 32, 8, 8}, 7)).equal(plain));
  EXPECT_FALSE(with(&Control::output, 12, 11, testing::noise({1, 32, 8, 8}, 7)).equal(plain));
}

}  // namespace
}  // namespace asdm
