// What a held feature alone brings to the block behind it, made once and added by later calls.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "native/planning/feature_memory.h"
#include "tests/native/tiny_sampler.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::kTenSteps;
using testing::LendingWeights;
using testing::noise;
using testing::run_of;
using testing::TinyUNet;
using SamplingRun = asdm::Run;  // inside a test, Run is another

constexpr double kRounding = 1e-5;  // relative L2 in fp32: another order of the same sums

double relative_error(const at::Tensor& value, const at::Tensor& expected) {
  return (value - expected).norm().item<double>() / expected.norm().item<double>();
}

InheritanceRequest request_of(const std::string& sites, int64_t interval = 4) {
  InheritanceRequest request;
  request.sites = sites;
  request.interval = interval;
  return request;
}

/// Ten evaluations of a run, each on an input of its own; `reuses`: with sums.
std::vector<at::Tensor> evaluated(TinyUNet& tiny, Run& run, bool reuses, Hooks& hooks, int64_t height = 8,
                                  int64_t width = 8) {
  tiny.companions.reuses_sums = reuses;
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i + 1 < kTenSteps.size(); ++i) {
    outputs.push_back(
        tiny.evaluate(run, kTenSteps[i], tiny.inputs(height, width, 2, i + 1), hooks, {"cond", "uncond"}, {0, 1}));
  }
  return outputs;
}
std::vector<at::Tensor> evaluated(TinyUNet& tiny, Run& run, bool reuses) {
  Hooks none;
  return evaluated(tiny, run, reuses, none);
}

TEST(HeldSums, AResBlockInTwoPartsEqualsTheWhole) {
  for (const auto& [held, fresh] : std::vector<std::pair<int64_t, int64_t>>{{64, 32}, {32, 32}, {96, 96}, {32, 160}}) {
    ModuleTable table;
    const ResBlock block(table, "res", held + fresh, 48, 32);
    LendingWeights weights(table.leaves(), testing::random_weights(table.leaves(), 7), testing::Lending::kCopies);
    Hooks none;
    Workspace workspace;
    LayerContext layer{weights, none, workspace};
    ASSERT_TRUE(block.splits(layer));
    const auto image = [](int64_t channels, uint64_t seed) {
      return noise({2, channels, 7, 9}, seed).contiguous(at::MemoryFormat::ChannelsLast);
    };
    const at::Tensor first = image(held, 1);
    HeldSums sums;
    for (uint64_t call = 0; call < 3; ++call) {
      const at::Tensor second = image(fresh, 10 + call);
      const at::Tensor emb = noise({2, 48}, 20 + call);
      const at::Tensor whole = block(at::cat({first, second}, 1), emb, layer);
      EXPECT_LE(relative_error(block({first, second}, emb, sums, layer), whole), kRounding) << held << fresh;
    }
    EXPECT_EQ(weights.lent(), 0);
    // Later calls do not look at most of the held part, but for the channels of a group that reaches into the other.
    const int64_t shared = held % ((held + fresh) / 32);
    at::Tensor spoilt = first.clone();
    spoilt.narrow(1, 0, held - shared).fill_(99.0);
    const at::Tensor second = image(fresh, 30);
    const at::Tensor emb = noise({2, 48}, 31);
    EXPECT_TRUE(at::equal(block({spoilt, second}, emb, sums, layer), block({first, second}, emb, sums, layer)));
  }
}

TEST(HeldSums, EqualInputsDoNotSplit) {
  ModuleTable table;
  const ResBlock block(table, "same", 64, 48, 64);
  ResidentWeights weights(table.leaves(), testing::random_weights(table.leaves(), 7));
  Hooks none;
  Workspace workspace;
  EXPECT_FALSE(block.splits({weights, none, workspace}));  // its skip connection is no sum of halves
}

TEST(HeldSums, RunsEqualThoseWithoutWithinRounding) {
  for (const auto& [preset, sites] : std::vector<std::pair<std::string, std::string>>{{"sd15", "out.8"},
                                                                                      {"sd15", "mid"},
                                                                                      {"sd15", "out.5"},
                                                                                      {"sd15", "out.10, in.2"},
                                                                                      {"sd15", "out.8, out.3"},
                                                                                      {"sdxl", "out.2"},
                                                                                      {"sd21", "out.8"}}) {
    TinyUNet tiny(preset);
    SamplingRun plain = run_of(tiny, request_of(sites));
    SamplingRun reusing = run_of(tiny, request_of(sites));
    const std::vector<at::Tensor> expected = evaluated(tiny, plain, false);
    const std::vector<at::Tensor> found = evaluated(tiny, reusing, true);
    EXPECT_EQ(plain.plan(), reusing.plan());
    EXPECT_EQ(plain.record().computed_nodes, reusing.record().computed_nodes);
    bool differs = false;
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LE(relative_error(found[i], expected[i]), kRounding) << preset << sites << i;
      const bool equal = at::equal(found[i], expected[i]);
      differs = differs || !equal;
      if (reusing.plan()[i].empty()) {
        EXPECT_TRUE(equal) << i;  // a full evaluation does not change a bit
      }
    }
    EXPECT_TRUE(differs) << preset << sites;  // or nothing was reused
    EXPECT_GT(reusing.cache_bytes(), plain.cache_bytes());
  }
}

TEST(HeldSums, LaterCallsConvolveTheFreshPartAlone) {
  TinyUNet tiny;
  SamplingRun run = run_of(tiny, request_of("out.8", 1000));
  (void)evaluated(tiny, run, true);
  tiny.weights.clear();
  Hooks none;
  (void)tiny.evaluate(run, 0.5, tiny.inputs(8, 8, 2), none, {"cond", "uncond"}, {0, 1});
  EXPECT_EQ(tiny.weights.fetches().at("output_blocks.9.0.in_layers.2"), 1);
  EXPECT_EQ(tiny.weights.fetches().at("output_blocks.9.0.skip_connection"), 1);
}

/// Writes into the trunk, as FreeU does.
class WritingHooks final : public Hooks {
 public:
  [[nodiscard]] bool hooks_output_blocks() const override { return true; }
  std::pair<at::Tensor, at::Tensor> output_block(at::Tensor h, at::Tensor skip) override {
    return {h.mul_(1.0 + 0.1 * static_cast<double>(++calls_ % 7)), std::move(skip)};
  }

 private:
  int64_t calls_ = 0;
};

TEST(HeldSums, WhereTheFeatureIsNotHeldOrSomebodyLooksNothingIsReused) {
  TinyUNet tiny;
  const auto check = [&](const InheritanceRequest& request, auto make_hooks) {
    SamplingRun plain = run_of(tiny, request);
    SamplingRun reusing = run_of(tiny, request);
    auto first = make_hooks();
    auto second = make_hooks();
    const std::vector<at::Tensor> expected = evaluated(tiny, plain, false, first);
    const std::vector<at::Tensor> found = evaluated(tiny, reusing, true, second);
    EXPECT_GT(reusing.record().inherited, 0);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(at::equal(found[i], expected[i])) << request.sites << i;
    }
    EXPECT_EQ(reusing.cache_bytes(), plain.cache_bytes());
  };
  const auto none = [] { return Hooks(); };
  check(request_of("out.8"), [] { return WritingHooks(); });
  check(request_of("out.8, out.9.res.conv"), none);
  check(request_of("out.8.attn:output"), none);
  check(request_of("out.8, guidance"), none);
  InheritanceRequest forecast = request_of("out.8");
  forecast.value = "taylor1";
  check(forecast, none);
}

TEST(HeldSums, ControlOfTheSkipIsFreshInEachCall) {
  TinyUNet tiny;
  std::vector<std::vector<at::Tensor>> outputs;
  for (const bool reuses : {false, true}) {
    SamplingRun run = run_of(tiny, request_of("out.8", 1000));
    tiny.companions.reuses_sums = reuses;
    Hooks none;
    std::vector<at::Tensor>& found = outputs.emplace_back();
    for (uint64_t i = 0; i < 4; ++i) {
      ForwardInputs inputs = tiny.inputs(8, 8, 1, i + 1);
      // Taken from the end, output block by output block: out.9 gets the tenth.
      inputs.control.output.assign(12, at::Tensor());
      inputs.control.output[2] = noise({1, 32, 8, 8}, 50 + i);
      found.push_back(tiny.evaluate(run, 10.0 - static_cast<double>(i), inputs, none));
    }
  }
  for (size_t i = 0; i < outputs[0].size(); ++i) {
    EXPECT_LE(relative_error(outputs[1][i], outputs[0][i]), kRounding) << i;
  }
}

TEST(HeldSums, AnEvaluationThatComputesTheFeatureAnewMakesThemAnew) {
  TinyUNet tiny;
  SamplingRun run = run_of(tiny, request_of("out.8", 2));
  SamplingRun plain = run_of(tiny, request_of("out.8", 2));
  const std::vector<at::Tensor> found = evaluated(tiny, run, true);
  const std::vector<at::Tensor> expected = evaluated(tiny, plain, false);
  for (size_t i = 1; i < found.size(); i += 2) {
    EXPECT_LE(relative_error(found[i], expected[i]), kRounding) << i;
  }
}

TEST(HeldSums, ChangedWeightsCountOnceTheyAreForgotten) {
  TinyUNet tiny("held sums", testing::tiny_spec("sd15"));
  tiny.companions.reuses_sums = true;
  Hooks none;
  const ForwardInputs inputs = tiny.inputs();
  SamplingRun run = run_of(tiny, request_of("out.8", 1000));
  (void)tiny.evaluate(run, 10, inputs, none);
  const at::Tensor before = tiny.evaluate(run, 9, inputs, none);
  const int64_t with_sums = run.cache_bytes();
  for (size_t leaf = 0; leaf < tiny.tensors.size(); ++leaf) {
    if (tiny.unet.leaves()[leaf].name == "output_blocks.9.0.in_layers.2") {
      tiny.tensors[leaf].weight.mul_(-1.0);  // these tensors are this test's alone
    }
  }
  run.clear_derived();
  EXPECT_LT(run.cache_bytes(), with_sums);
  const at::Tensor after = tiny.evaluate(run, 8, inputs, none);
  EXPECT_EQ(run.cache_bytes(), with_sums);
  tiny.companions.reuses_sums = false;
  EXPECT_LE(relative_error(after, tiny.evaluate(run, 7, inputs, none)), kRounding);
  EXPECT_GT(relative_error(after, before), 1e-3);
}

TEST(HeldSums, BytesAreCountedAsDeclaredAndGoWithTheRun) {
  for (const auto& [sites, height, width] : std::vector<std::tuple<std::string, int64_t, int64_t>>{
           {"out.8", 8, 8}, {"out.8", 7, 9}, {"mid, out.5", 8, 8}, {"out.4", 8, 8}}) {
    TinyUNet tiny;
    const InheritanceRequest request = request_of(sites);
    const InheritanceSettings settings = settings_of(request, tiny.unet.topology(), tiny.unet.spec());
    SamplingRun run = run_of(tiny, request);
    Hooks none;
    (void)evaluated(tiny, run, true, none, height, width);
    const int64_t features = feature_bytes(settings, tiny.unet.topology(), 2, height, width, 4);
    const int64_t sums = held_sum_bytes(settings, tiny.unet.topology(), 2, height, width, 4);
    EXPECT_GT(sums, 0);
    EXPECT_LE(run.record().peak_cache_bytes, features + sums) << sites;
    if (sites == "out.8") {
      EXPECT_EQ(run.record().peak_cache_bytes, features + sums);
      EXPECT_EQ(sums, int64_t{2} * 2 * 32 * height * width * 4);
    }
    run.clear();
    EXPECT_EQ(run.cache_bytes(), 0);
  }
}

TEST(HeldSums, CallsThatRegroupMakeTheirOwn) {
  for (const testing::Batching batching : {testing::Batching::kApart, testing::Batching::kFlipping}) {
    std::vector<at::Tensor> latents;
    for (const bool reuses : {false, true}) {
      TinyUNet tiny;
      tiny.companions.reuses_sums = reuses;
      SamplingRun run = run_of(tiny, request_of("out.8", 5));
      testing::Sampler sampler{.heun = true, .batching = batching};
      latents.push_back(sampler.sample(tiny, run, kTenSteps));
    }
    EXPECT_LE(relative_error(latents[1], latents[0]), 1e-4);  // rounding, carried on through ten steps
    EXPECT_FALSE(at::equal(latents[1], latents[0]));
  }
}

}  // namespace
}  // namespace asdm
