// Inheriting the guidance: cond alone runs, and uncond follows from it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::difference;
using testing::inheriting_run;
using testing::noise;
using testing::run_of;
using testing::TinyUNet;

using Keys = std::vector<std::string>;
using Roles = std::vector<int64_t>;
using SamplingRun = asdm::Run;  // inside a test, `Run` is a member of ::testing::Test

const Keys kPair = {"uncond", "cond"};
const Roles kPairRoles = {1, 0};

ForwardInputs half(const ForwardInputs& both, int64_t row) {
  const auto one = [&](const at::Tensor& t) { return t.narrow(0, row, 1); };
  return {one(both.x), one(both.timesteps), one(both.context), {}, {}};
}

/// Cond and uncond of one latent, as the host batches them.
ForwardInputs pair_inputs(const TinyUNet& tiny, uint64_t seed) {
  ForwardInputs inputs = tiny.inputs(7, 9, 2, seed);
  inputs.x = inputs.x.narrow(0, 0, 1).repeat({2, 1, 1, 1});
  inputs.context = noise({2, 5, 768}, 77);
  return inputs;
}

TEST(Guidance, UncondIsCondAndTheStoredDifference) {
  TinyUNet tiny;
  const ForwardInputs before = pair_inputs(tiny, 1);
  const ForwardInputs after = pair_inputs(tiny, 50);
  Hooks none;
  SamplingRun run = inheriting_run(tiny, "guidance");
  const at::Tensor full = tiny.evaluate(run, 10, before, none, kPair, kPairRoles);
  EXPECT_TRUE(at::equal(full, tiny.full(before)));
  tiny.weights.clear();
  const at::Tensor got = tiny.evaluate(run, 9, after, none, kPair, kPairRoles);
  const at::Tensor cond = tiny.full(half(after, 1));
  EXPECT_LE(difference(got.narrow(0, 1, 1), cond), 1e-6);
  EXPECT_LE(difference(got.narrow(0, 0, 1), cond + full.narrow(0, 0, 1) - full.narrow(0, 1, 1)), 1e-5);
  // The other order of the chunks gives the same.
  ForwardInputs turned = after;
  for (const auto field : {&ForwardInputs::x, &ForwardInputs::timesteps, &ForwardInputs::context}) {
    turned.*field = (after.*field).flip({0});
  }
  EXPECT_LE(difference(tiny.evaluate(run, 8, turned, none, {"cond", "uncond"}, {0, 1}), got.flip({0})), 1e-5);
  EXPECT_TRUE(run.record().forced_refreshes.empty());
}

TEST(Guidance, GoesWithOtherSites) {
  TinyUNet tiny;
  const ForwardInputs before = pair_inputs(tiny, 1);
  const ForwardInputs after = pair_inputs(tiny, 50);
  Hooks none;
  for (const std::string sites : {"out.8", "transformers", "attn1 mid.res0", "encoder"}) {
    SamplingRun with = inheriting_run(tiny, sites + ", guidance");
    SamplingRun without = inheriting_run(tiny, sites);
    const at::Tensor full = tiny.evaluate(with, 10, before, none, kPair, kPairRoles);
    tiny.evaluate(without, 10, before, none, kPair, kPairRoles);
    const at::Tensor cond = tiny.evaluate(without, 9, after, none, kPair, kPairRoles).narrow(0, 1, 1);
    const at::Tensor got = tiny.evaluate(with, 9, after, none, kPair, kPairRoles);
    EXPECT_LE(difference(got.narrow(0, 1, 1), cond), 1e-5) << sites;
    EXPECT_LE(difference(got.narrow(0, 0, 1), cond + full.narrow(0, 0, 1) - full.narrow(0, 1, 1)), 1e-5) << sites;
  }
}

TEST(Guidance, IsForecastLikeAnyNode) {
  TinyUNet tiny;
  Hooks none;
  InheritanceRequest request;
  request.sites = "guidance";
  request.mode = "explicit";
  request.full_at = "0, 1";
  request.value = "taylor1";
  SamplingRun run = run_of(tiny, request);
  const auto gap = [](const at::Tensor& t) { return t.narrow(0, 0, 1) - t.narrow(0, 1, 1); };
  const at::Tensor first = gap(tiny.evaluate(run, 10, pair_inputs(tiny, 1), none, kPair, kPairRoles));
  const at::Tensor second = gap(tiny.evaluate(run, 9, pair_inputs(tiny, 2), none, kPair, kPairRoles));
  const at::Tensor third = gap(tiny.evaluate(run, 8, pair_inputs(tiny, 3), none, kPair, kPairRoles));
  EXPECT_LE(difference(third, second * 2.0 - first), 1e-5);
  EXPECT_EQ(run.record().forecast_nodes[static_cast<size_t>(tiny.unet.topology().guidance())], 1);
}

TEST(Guidance, ControlResidualsAreNarrowedToo) {
  TinyUNet tiny;
  ForwardInputs before = pair_inputs(tiny, 1);
  const ForwardInputs plain = pair_inputs(tiny, 50);
  ForwardInputs after = plain;
  after.control.middle = {noise({2, 128, 1, 2}, 5)};
  after.control.output = {noise({1, 32, 7, 9}, 6), at::Tensor()};
  Hooks none;
  SamplingRun run = inheriting_run(tiny, "guidance");
  tiny.evaluate(run, 10, before, none, kPair, kPairRoles);
  ForwardInputs cond = half(plain, 1);
  cond.control.middle = {after.control.middle[0].narrow(0, 1, 1)};
  cond.control.output = after.control.output;
  const at::Tensor got = tiny.evaluate(run, 9, after, none, kPair, kPairRoles);
  EXPECT_LE(difference(got.narrow(0, 1, 1), tiny.full(cond)), 1e-6);
}

TEST(Guidance, OtherCallsRunAllTheirRowsAndSayWhy) {
  TinyUNet tiny;
  const ForwardInputs inputs = pair_inputs(tiny, 1);
  const at::Tensor expected = tiny.full(inputs);
  Hooks none;
  const std::string not_a_pair = "guidance needs cond and uncond, and nothing else, in one call";
  struct Row {
    Keys keys;
    Roles roles;
  };
  for (const Row& row : {Row{kPair, {}}, Row{kPair, {0, 0}}, Row{kPair, {1, 2}}, Row{{"a"}, {0}}}) {
    const ForwardInputs given = row.keys.size() == 2 ? inputs : half(inputs, 0);
    SamplingRun run = inheriting_run(tiny, "guidance");
    tiny.evaluate(run, 10, given, none, row.keys, row.roles);
    EXPECT_LE(
        difference(tiny.evaluate(run, 9, given, none, row.keys, row.roles), expected.narrow(0, 0, given.x.size(0))),
        1e-5);
    EXPECT_EQ(run.record().forced_refreshes, (std::map<std::string, int64_t>{{not_a_pair, 1}}));
    EXPECT_TRUE(run.plan()[1].empty());
  }
  // Beside other sites, these are still inherited.
  SamplingRun run = inheriting_run(tiny, "out.8 guidance");
  tiny.evaluate(run, 10, inputs, none, kPair);
  tiny.evaluate(run, 9, inputs, none, kPair);
  EXPECT_EQ(run.plan()[1], std::vector<NodeId>{tiny.unet.topology().output(8)});
}

TEST(Guidance, PatchesThatSeeTheBatchKeepIt) {
  struct BatchHooks final : Hooks {
    [[nodiscard]] bool hooks_transformers() const override { return true; }
  };
  TinyUNet tiny;
  const ForwardInputs inputs = pair_inputs(tiny, 1);
  BatchHooks hooks;
  SamplingRun run = inheriting_run(tiny, "guidance");
  tiny.evaluate(run, 10, inputs, hooks, kPair, kPairRoles);
  EXPECT_LE(difference(tiny.evaluate(run, 9, inputs, hooks, kPair, kPairRoles), tiny.full(inputs, hooks)), 1e-6);
  EXPECT_EQ(run.record().forced_refreshes,
            (std::map<std::string, int64_t>{{"guidance: a patch must see cond and uncond together", 1}}));
}

}  // namespace
}  // namespace asdm
