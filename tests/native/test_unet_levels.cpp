// Inheritance of layers, units and the whole UNet: what is run, and that the result is the full one where nothing
// changed.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/planning/liveness.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::call_with;
using testing::difference;
using testing::group_of;
using testing::inheriting_run;
using testing::run_of;
using testing::TinyUNet;

using Names = std::set<std::string>;
using SamplingRun = asdm::Run;  // inside a test, `Run` is a member of ::testing::Test

const std::vector<std::string> kChoices = {
    "out",
    "in.4.res",
    "in.4.attn",
    "out.9.attn",
    "mid.res1",
    "out.5.res",
    "in.4.res:output",
    "mid.attn:output",
    "out.8.attn:output",
    "out.8.up",
    "in.3.down",
    "in.0.conv",
    "mid.res1:output",
    "in.2.attn.0.attn1",
    "in.2.attn.0.attn2",
    "out.10.attn.0.ff",
    "in.5.res.conv",
    "mid.res0.conv",
    "attn1",
    "attn2",
    "ff",
    "transformers",
    "second_layers",
    "in.*.res, in.1?.res, mid.res?, out.*.res",
    "in.*.res.conv, mid.res?.conv, out.*.res.conv",
    "out.2, in.1.attn, out.9.attn.*.attn1, out.11.res",
    "in.4 mid out.11.attn:output",
};

/// What the forward computed against what the walk without tensors says it computes.
void expect_live_nodes(const TinyUNet& tiny, const ResolvedSites& resolved, const CallFeatures& call) {
  const std::vector<NodeId>& sites = resolved.phases.front().sites;
  const NodesOfCall live = live_nodes(tiny.unet.topology(), {sites.begin(), sites.end()}, resolved.whole_outputs);
  const auto sorted = [](const std::vector<NodeId>& nodes) { return std::set<NodeId>(nodes.begin(), nodes.end()); };
  EXPECT_EQ(sorted(call.ledger().computed), sorted(live.computed));
  EXPECT_EQ(sorted(call.ledger().inherited), sorted(live.inherited));
  EXPECT_EQ(sorted(call.ledger().computed).size(), call.ledger().computed.size()) << "a node was computed twice";
}

TEST(UNetLevels, WhatWasJustComputedGivesTheFullResult) {
  for (const char* preset : {"sd15", "sdxl"}) {
    TinyUNet tiny(preset);
    const ForwardInputs inputs = tiny.inputs(7, 9, 2);
    const at::Tensor expected = tiny.full(inputs);
    for (const std::string& choice : kChoices) {
      if (std::string(preset) == "sdxl" && choice.find("out.11") != std::string::npos) {
        continue;
      }
      if (std::string(preset) == "sdxl" && (choice.find('.') != std::string::npos)) {
        continue;  // the addresses are SD1.x's
      }
      SCOPED_TRACE(preset + (" " + choice));
      const ResolvedSites resolved = tiny.resolve(choice);
      const std::vector<NodeId>& sites = resolved.phases.front().sites;
      CallFeatures call =
          call_with(group_of({"cond", "uncond"}, tiny.node_values(inputs, sites, resolved.whole_outputs)),
                    resolved.whole_outputs);
      Hooks none;
      EXPECT_LE(difference(tiny.unet.forward(inputs, tiny.weights, none, call), expected), 2e-5);
      EXPECT_TRUE(call.ledger().refusals.empty());
      expect_live_nodes(tiny, resolved, call);
    }
  }
}

TEST(UNetLevels, StoringChangesNoMoreThanFloatingPointNoise) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  const at::Tensor expected = tiny.full(inputs);
  Hooks none;
  for (const std::string& choice : kChoices) {
    SamplingRun run = inheriting_run(tiny, choice);
    EXPECT_LE(difference(tiny.evaluate(run, 10, inputs, none), expected), 2e-5) << choice;
  }
}

TEST(UNetLevels, NothingInheritedChangesNoBit) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  const at::Tensor expected = tiny.full(inputs);
  Hooks none;
  for (const std::string& choice : kChoices) {
    InheritanceRequest request;
    request.sites = choice;
    request.interval = 1;
    SamplingRun run = run_of(tiny, request);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(at::equal(tiny.evaluate(run, 10 - i, inputs, none), expected)) << choice;
    }
    EXPECT_EQ(run.cache_bytes(), 0);
  }
}

/// Names of the leaves that an inherited evaluation uses.
Names leaves_used(TinyUNet& tiny, const std::string& sites) {
  const ForwardInputs inputs = tiny.inputs();
  Hooks none;
  SamplingRun run = inheriting_run(tiny, sites);
  tiny.evaluate(run, 10, inputs, none);
  tiny.weights.clear();
  tiny.evaluate(run, 9, inputs, none);
  Names used;
  for (const auto& [leaf, uses] : tiny.weights.fetches()) {
    EXPECT_EQ(uses, 1) << leaf;
    used.insert(leaf);
  }
  return used;
}

Names starting_with(const Names& names, const std::string& prefix) {
  Names found;
  for (const std::string& name : names) {
    if (name.starts_with(prefix)) {
      found.insert(name.substr(prefix.size()));
    }
  }
  return found;
}

TEST(UNetLevels, AnInheritedResBlockRunsItsSkipConnectionAlone) {
  TinyUNet tiny;
  EXPECT_EQ(starting_with(leaves_used(tiny, "in.4.res"), "input_blocks.4.0."), Names{"skip_connection"});
  EXPECT_EQ(starting_with(leaves_used(tiny, "in.5.res"), "input_blocks.5.0."), Names{});
  EXPECT_EQ(starting_with(leaves_used(tiny, "in.4.res:output"), "input_blocks.4.0."), Names{});
}

TEST(UNetLevels, AnInheritedConvKeepsTheFreshTimeEmbedding) {
  TinyUNet tiny;
  EXPECT_EQ(starting_with(leaves_used(tiny, "in.4.res.conv"), "input_blocks.4.0."),
            (Names{"emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection"}));
}

TEST(UNetLevels, InheritedUnitsRunNoneOfTheirLeaves) {
  TinyUNet tiny;
  const std::string block = "input_blocks.4.1.transformer_blocks.0.";
  const Names all = starting_with(leaves_used(tiny, "mid"), block);
  const auto without = [&](const std::string& norm, const std::string& unit) {
    Names rest;
    for (const std::string& leaf : all) {
      if (!leaf.starts_with(norm) && !leaf.starts_with(unit)) {
        rest.insert(leaf);
      }
    }
    return rest;
  };
  EXPECT_EQ(starting_with(leaves_used(tiny, "in.4.attn.0.attn1"), block), without("norm1", "attn1."));
  EXPECT_EQ(starting_with(leaves_used(tiny, "in.4.attn.0.attn2"), block), without("norm2", "attn2."));
  EXPECT_EQ(starting_with(leaves_used(tiny, "in.4.attn.0.ff"), block), without("norm3", "ff."));
  EXPECT_EQ(starting_with(leaves_used(tiny, "in.4.attn"), "input_blocks.4.1."), Names{});
}

TEST(UNetLevels, AnInheritedOutputEndsTheWalkInsideItsBlock) {
  TinyUNet tiny;
  Names used = leaves_used(tiny, "out.8.attn:output");
  EXPECT_TRUE(used.contains("output_blocks.8.2.conv"));
  EXPECT_FALSE(used.contains("output_blocks.8.0.in_layers.2"));
  EXPECT_TRUE(starting_with(used, "middle_block.").empty());
  EXPECT_TRUE(starting_with(used, "input_blocks.3.").empty());
  used = leaves_used(tiny, "out");
  EXPECT_TRUE(used.empty());
}

TEST(UNetLevels, AnInheritedUnitStaysWhileItsSurroundingsMove) {
  TinyUNet tiny;
  const ForwardInputs before = tiny.inputs(8, 8, 1, 1);
  const ForwardInputs after = tiny.inputs(8, 8, 1, 50);
  Hooks none;
  for (const std::string& choice : kChoices) {
    SCOPED_TRACE(choice);
    SamplingRun run = inheriting_run(tiny, choice);
    tiny.evaluate(run, 10, before, none);
    const at::Tensor inherited = tiny.evaluate(run, 9, after, none);
    const ResolvedSites resolved = tiny.resolve(choice);
    CallFeatures given =
        call_with(group_of({"cond"}, tiny.node_values(before, resolved.phases.front().sites, resolved.whole_outputs)),
                  resolved.whole_outputs);
    EXPECT_LE(difference(inherited, tiny.unet.forward(after, tiny.weights, none, given)), 1e-6);
    EXPECT_GT(difference(inherited, tiny.full(after)), 1e-6);
  }
}

TEST(UNetLevels, ChunksFlipBetweenOneCallAndTwoAtEveryLevel) {
  TinyUNet tiny;
  const ForwardInputs both = tiny.inputs(7, 9, 2);
  ForwardInputs flipped = both;
  for (const auto field : {&ForwardInputs::x, &ForwardInputs::timesteps, &ForwardInputs::context}) {
    flipped.*field = (both.*field).flip({0});
  }
  const at::Tensor expected = tiny.full(both);
  Hooks none;
  for (const std::string& choice : kChoices) {
    SamplingRun run = inheriting_run(tiny, choice);
    tiny.evaluate(run, 10, both, none, {"cond", "uncond"});
    EXPECT_LE(difference(tiny.evaluate(run, 9, flipped, none, {"uncond", "cond"}), expected.flip({0})), 1e-4) << choice;
    EXPECT_TRUE(run.record().forced_refreshes.empty()) << choice;
  }
}

/// Writes into what the attention patches give and get.
class AttentionHooks final : public Hooks {
 public:
  int64_t attn1_outputs = 0;
  int64_t between = 0;
  [[nodiscard]] bool hooks_transformers() const override { return true; }
  at::Tensor attention_output(AttentionUnit unit, at::Tensor output) override {
    attn1_outputs += unit == AttentionUnit::kAttn1 ? 1 : 0;
    return output * 0.5;
  }
  at::Tensor between_attentions(at::Tensor x) override {
    ++between;
    return x;
  }
};

TEST(UNetLevels, PatchesOfAnInheritedUnitAreInItsValue) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  AttentionHooks hooks;
  const at::Tensor expected = tiny.full(inputs, hooks);
  hooks = {};
  SamplingRun run = inheriting_run(tiny, "attn1");
  tiny.evaluate(run, 10, inputs, hooks);
  EXPECT_EQ(hooks.attn1_outputs, 16);
  EXPECT_LE(difference(tiny.evaluate(run, 9, inputs, hooks), expected), 2e-5);
  EXPECT_EQ(hooks.attn1_outputs, 16);
  EXPECT_EQ(hooks.between, 32);
}

TEST(UNetLevels, TheHostMayWriteIntoAnInheritedPrediction) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  Hooks none;
  SamplingRun run = inheriting_run(tiny, "out");
  const at::Tensor full = tiny.evaluate(run, 10, inputs, none).clone();
  tiny.evaluate(run, 9, inputs, none).fill_(1e6);
  EXPECT_TRUE(at::equal(tiny.evaluate(run, 8, inputs, none), full));
}

}  // namespace
}  // namespace asdm
