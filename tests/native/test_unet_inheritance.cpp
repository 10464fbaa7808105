// The UNet under inheritance: what is run, what is not, and that the result is the full one where nothing changed.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/planning/sites.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::call_with;
using testing::difference;
using testing::group_of;
using testing::inheriting_run;
using testing::TinyUNet;

using Names = std::set<std::string>;
using SamplingRun = asdm::Run;  // inside a test, `Run` is a member of ::testing::Test

/// "input_blocks.FROM" to "input_blocks.TO" and so on.
Names modules(const std::string& kind, int from, int to) {
  Names names;
  for (int i = from; i <= to; ++i) {
    names.insert(kind + "_blocks." + std::to_string(i));
  }
  return names;
}

Names join(std::vector<Names> parts) {
  Names all = {"time_embed", "out"};
  for (Names& part : parts) {
    all.merge(part);
  }
  return all;
}

/// The `values`, by node id, of `sites` alone.
std::map<NodeId, at::Tensor> values_at(const std::vector<at::Tensor>& values, const std::vector<NodeId>& sites) {
  std::map<NodeId, at::Tensor> found;
  for (const NodeId site : sites) {
    found.emplace(site, values[static_cast<size_t>(site)]);
  }
  return found;
}

/// Of `counts` by node, those of the 25 blocks.
std::vector<int64_t> of_blocks(const std::vector<int64_t>& counts) { return {counts.begin(), counts.begin() + 25}; }

TEST(UNetInheritance, NodesNobodyAsksForAreNotRun) {
  struct Row {
    const char* preset;
    const char* sites;
    Names run;
  };
  const Names encoder = modules("input", 0, 11);
  const std::vector<Row> rows = {
      {"sd15", "auto", join({modules("input", 0, 2), modules("output", 9, 11)})},
      {"sd15", "out.8", join({modules("input", 0, 2), modules("output", 9, 11)})},
      {"sd15", "out.10", join({modules("input", 0, 0), modules("output", 11, 11)})},
      {"sd15", "out.2 out.5", join({modules("input", 0, 5), modules("output", 6, 11)})},  // the later cut rules
      {"sd15", "mid", join({encoder, modules("output", 0, 11)})},
      {"sd15", "in.11 mid", join({modules("input", 0, 10), modules("output", 0, 11)})},
      {"sd15", "in.0 in.1 in.2 in.3 in.4 in.5 in.6 in.7 in.8 in.9 in.10 in.11 mid", join({modules("output", 0, 11)})},
      {"sd15", "in.0", join({modules("input", 1, 11), {"middle_block"}, modules("output", 0, 11)})},
      {"sd15", "in.2 out.8", join({modules("input", 0, 1), modules("output", 9, 11)})},
      {"sdxl", "auto", join({{"label_emb"}, modules("input", 0, 5), modules("output", 3, 8)})},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.sites);
    TinyUNet tiny(row.preset);
    const ForwardInputs inputs = tiny.inputs();
    Hooks none;
    SamplingRun run = inheriting_run(tiny, row.sites);
    tiny.evaluate(run, 10, inputs, none);
    EXPECT_EQ(tiny.weights.fetches().size(), tiny.unet.leaves().size());
    tiny.weights.clear();
    tiny.evaluate(run, 9, inputs, none);
    Names ran = tiny.weights.modules();
    EXPECT_EQ(std::vector<std::string>(ran.begin(), ran.end()),
              std::vector<std::string>(row.run.begin(), row.run.end()));
    for (const auto& [leaf, uses] : tiny.weights.fetches()) {
      EXPECT_EQ(uses, 1) << leaf << " was used more than once";
    }
  }
}

TEST(UNetInheritance, WhatWasJustComputedGivesTheFullResult) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs(7, 9, 2);
  const at::Tensor expected = tiny.full(inputs);
  const std::vector<at::Tensor> values = tiny.block_values(inputs);
  std::vector<std::string> choices = site_names(tiny.unet.topology());
  ASSERT_EQ(choices.size(), 24U);
  choices.insert(choices.end(), {"out.2 out.5 out.8", "in.4 mid out.3",
                                 "in.0 in.1 in.2 in.3 in.4 in.5 in.6 in.7 in.8 in.9 in.10 in.11 mid"});
  for (const std::string& choice : choices) {
    const auto group = group_of({"cond", "uncond"}, values_at(values, tiny.sites(choice)));
    CallFeatures features = call_with(group);
    Hooks none;
    EXPECT_LE(difference(tiny.unet.forward(inputs, tiny.weights, none, features), expected), 1e-6) << choice;
    EXPECT_FALSE(features.ledger().inherited.empty()) << choice;
    EXPECT_TRUE(features.ledger().refusals.empty()) << choice;
    for (const auto& [site, series] : group->nodes) {
      EXPECT_EQ(difference(series.newest_value(), values[static_cast<size_t>(site)]), 0.0) << choice;
    }
  }
}

TEST(UNetInheritance, TheStoredValueIsTheOneOfTheFullEvaluation) {
  TinyUNet tiny;
  const ForwardInputs before = tiny.inputs(8, 8, 1, 1);
  const ForwardInputs after = tiny.inputs(8, 8, 1, 50);
  const NodeId cut = tiny.unet.topology().output(8);
  Hooks none;
  SamplingRun run = inheriting_run(tiny, "out.8");
  tiny.evaluate(run, 10, before, none);
  const at::Tensor inherited = tiny.evaluate(run, 9, after, none);
  // By hand: a call whose features are given.
  CallFeatures given = call_with(group_of({"cond"}, {{cut, tiny.block_values(before)[static_cast<size_t>(cut)]}}));
  EXPECT_LE(difference(inherited, tiny.unet.forward(after, tiny.weights, none, given)), 1e-6);
  EXPECT_GT(difference(inherited, tiny.full(after)), 1e-3);
  EXPECT_GT(difference(inherited, tiny.full(before)), 1e-3);
  EXPECT_EQ(given.ledger().inherited, std::vector<NodeId>{cut});
}

TEST(UNetInheritance, ARecordOfACut) {
  TinyUNet tiny;
  Hooks none;
  SamplingRun run = inheriting_run(tiny, "out.8");
  for (int i = 0; i < 4; ++i) {
    tiny.evaluate(run, 10 - i, tiny.inputs(), none);
  }
  std::vector<int64_t> computed(25, 1);
  for (const size_t live : {0U, 1U, 2U, 22U, 23U, 24U}) {
    computed[live] = 4;
  }
  std::vector<int64_t> inherited(25, 0);
  inherited[21] = 3;
  EXPECT_EQ(of_blocks(run.record().computed_nodes), computed);
  EXPECT_EQ(of_blocks(run.record().inherited_nodes), inherited);
  EXPECT_EQ(run.cache_bytes(), int64_t{64} * 8 * 8 * 4);  // 64 channels at 8x8 in fp32
}

TEST(UNetInheritance, ChunksFlipBetweenOneCallAndTwo) {
  TinyUNet tiny;
  const ForwardInputs both = tiny.inputs(7, 9, 2);
  const auto half = [&](int64_t row) {
    const auto one = [&](const at::Tensor& t) { return t.narrow(0, row, 1); };
    return ForwardInputs{one(both.x), one(both.timesteps), one(both.context), {}, {}};
  };
  const at::Tensor expected = tiny.full(both);
  Hooks none;
  SamplingRun run = inheriting_run(tiny, "out.8");
  tiny.evaluate(run, 10, both, none, {"cond", "uncond"});
  run.begin_evaluation(9);
  for (const int64_t row : {1, 0}) {
    CallFeatures features = run.begin_call({row == 0 ? "cond" : "uncond"});
    EXPECT_TRUE(features.inherits());
    EXPECT_LE(difference(tiny.unet.forward(half(row), tiny.weights, none, features), expected.narrow(0, row, 1)), 1e-4);
    run.end_call(features);
  }
  ForwardInputs flipped = both;
  for (const auto field : {&ForwardInputs::x, &ForwardInputs::timesteps, &ForwardInputs::context}) {
    flipped.*field = (both.*field).flip({0});
  }
  EXPECT_LE(difference(tiny.evaluate(run, 8, flipped, none, {"uncond", "cond"}), expected.flip({0})), 1e-4);
  EXPECT_EQ(run.record().inherited, 2);
}

/// Halves the resolution behind input block 0, as deep-shrink patches do.
class ShrinkingHooks final : public Hooks {
 public:
  bool shrink = true;
  int64_t block = -1;

  [[nodiscard]] bool follows_blocks() const override { return true; }
  [[nodiscard]] bool hooks_input_blocks() const override { return true; }
  void enter_block(BlockKind kind, int64_t number) override { block = kind == BlockKind::kInput ? number : -1; }
  at::Tensor input_block(at::Tensor h) override { return shrink && block == 0 ? at::avg_pool2d(h, {2, 2}, {2, 2}) : h; }
};

TEST(UNetInheritance, AShapeThatChangedMakesTheCallFull) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  // "mid" is 1x1 with and without the hook, and fits its join either way.
  for (const char* choice :
       {"out.8", "out.5", "in.4 out.8", "mid", "in.11 mid", "in.0 in.1 in.2 in.3 in.4 in.5 in.11 mid",
        "in.1 in.2 in.3 in.4 in.5 in.6 in.7 in.8 in.9 in.10 in.11 mid"}) {
    SCOPED_TRACE(choice);
    ShrinkingHooks hooks;
    hooks.shrink = false;
    SamplingRun run = inheriting_run(tiny, choice);
    tiny.evaluate(run, 10, inputs, hooks);
    hooks.shrink = true;
    const at::Tensor got = tiny.evaluate(run, 9, inputs, hooks);
    const bool whole_encoder = std::string(choice).starts_with("in.0");
    if (whole_encoder) {  // the hook's block is inherited with its size: everything fits
      EXPECT_EQ(got.sizes(), inputs.x.sizes());
      EXPECT_TRUE(run.record().forced_refreshes.empty());
      continue;
    }
    EXPECT_EQ(got.sizes(), (std::vector<int64_t>{1, 4, 4, 4}));
    EXPECT_EQ(difference(got, tiny.full(inputs, hooks)), 0.0);
    const std::map<std::string, int64_t> expected = {{"feature shape changed", 1}};
    EXPECT_EQ(run.record().forced_refreshes, expected);
    EXPECT_EQ(of_blocks(run.record().computed_nodes), std::vector<int64_t>(25, 2));
    EXPECT_EQ(of_blocks(run.record().inherited_nodes), std::vector<int64_t>(25, 0));
    // The refreshed features have the new size and serve from now on.
    EXPECT_LE(difference(tiny.evaluate(run, 8, inputs, hooks), got), 1e-6);
    EXPECT_EQ(run.record().forced_refreshes, expected);
  }
}

/// Spoils everything it is given after reading it, as FreeU and its like write in place.
class WritingHooks final : public Hooks {
 public:
  [[nodiscard]] bool hooks_input_blocks() const override { return true; }
  [[nodiscard]] bool hooks_output_blocks() const override { return true; }
  at::Tensor input_block(at::Tensor h) override { return replaced(std::move(h)); }
  std::pair<at::Tensor, at::Tensor> output_block(at::Tensor h, at::Tensor skip) override {
    return {replaced(std::move(h)), replaced(std::move(skip))};
  }

 private:
  static at::Tensor replaced(at::Tensor h) {
    at::Tensor copy = h.clone();
    h.fill_(1e6);
    return copy;
  }
};

TEST(UNetInheritance, HooksThatWriteInPlaceSpoilNothing) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  const at::Tensor x = inputs.x.clone();
  const at::Tensor expected = tiny.full(inputs);
  for (const char* choice : {"out.8", "mid", "in.2 out.8", "in.11 in.10 in.9 mid"}) {
    WritingHooks hooks;
    SamplingRun run = inheriting_run(tiny, choice);
    for (int i = 0; i < 3; ++i) {
      EXPECT_LE(difference(tiny.evaluate(run, 10 - i, inputs, hooks), expected), 1e-5) << choice << " " << i;
    }
    EXPECT_EQ(run.record().inherited, 2);
    EXPECT_TRUE(run.record().forced_refreshes.empty());
  }
  EXPECT_TRUE(at::equal(inputs.x, x));
}

TEST(UNetInheritance, HooksNeverWriteIntoAStoredFeature) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  const std::vector<at::Tensor> values = tiny.block_values(inputs);
  for (const char* choice : {"mid", "out.8", "in.0 in.11 mid"}) {
    std::map<NodeId, at::Tensor> stored = values_at(values, tiny.sites(choice));
    for (auto& [site, value] : stored) {  // contiguous already, so that nothing is copied by chance
      value = value.clone(at::MemoryFormat::Contiguous);
    }
    const auto group = group_of({"cond"}, stored);
    CallFeatures features = call_with(group);
    WritingHooks hooks;
    (void)tiny.unet.forward(inputs, tiny.weights, hooks, features);
    for (const auto& [site, series] : group->nodes) {
      EXPECT_EQ(difference(series.newest_value(), values[static_cast<size_t>(site)]), 0.0)
          << choice << ", node " << site;
    }
  }
}

TEST(UNetInheritance, TheHooksOfAnInheritedInputBlockStillActOnTheTrunk) {
  struct AfterHooks final : Hooks {
    std::vector<std::string> calls;
    [[nodiscard]] bool follows_blocks() const override { return true; }
    [[nodiscard]] bool hooks_input_blocks() const override { return true; }
    void enter_block(BlockKind kind, int64_t number) override {
      calls.push_back(std::string(to_string(kind)) + " " + std::to_string(number));
    }
    at::Tensor input_block_after_skip(at::Tensor h) override {
      calls.emplace_back("after");
      return h * 0.5;
    }
  };
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  AfterHooks hooks;
  SamplingRun run = inheriting_run(tiny, "in.0 in.1 out.8");
  const at::Tensor full = tiny.evaluate(run, 10, inputs, hooks);
  hooks.calls.clear();
  EXPECT_LE(difference(tiny.evaluate(run, 9, inputs, hooks), full), 1e-5);
  EXPECT_EQ(hooks.calls,
            (std::vector<std::string>{"input 1", "after", "input 2", "after", "output 9", "output 10", "output 11"}));
}

TEST(UNetInheritance, FeaturesOfInferenceModeServeOutsideOfIt) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  Hooks none;
  SamplingRun run = inheriting_run(tiny, "out.8");
  at::Tensor full;
  {
    const c10::InferenceMode guard;
    full = tiny.evaluate(run, 10, inputs, none).clone();
  }
  EXPECT_LE(difference(tiny.evaluate(run, 9, inputs, none), full), 1e-6);
  EXPECT_EQ(run.record().inherited_nodes[21], 1);
}

}  // namespace
}  // namespace asdm
