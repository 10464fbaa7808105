// Keys and values of a prompt that are made once for many calls: bit for bit what each call would have made.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "native/layers/projection_cache.h"
#include "native/planning/feature_memory.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::inheriting_run;
using testing::noise;
using testing::TinyUNet;
using SamplingRun = asdm::Run;  // inside a test, Run is another

constexpr LeafId kLeaf = 7;

/// A call that remembers in `cache`.
at::Tensor remembering(TinyUNet& tiny, const ForwardInputs& inputs, ProjectionCache& cache, Hooks& hooks) {
  CallFeatures features;
  return tiny.unet.forward(inputs, tiny.weights, hooks, features, {.projections = &cache});
}
at::Tensor remembering(TinyUNet& tiny, const ForwardInputs& inputs, ProjectionCache& cache) {
  Hooks none;
  return remembering(tiny, inputs, cache, none);
}

/// Uses since the last clear() of weights whose names end in `leaf`.
int64_t uses(const TinyUNet& tiny, const std::string& leaf) {
  int64_t count = 0;
  for (const auto& [name, uses] : tiny.weights.fetches()) {
    count += name.ends_with(leaf) ? uses : 0;
  }
  return count;
}
int64_t prompt_uses(const TinyUNet& tiny) { return uses(tiny, ".attn2.to_k") + uses(tiny, ".attn2.to_v"); }

/// Another latent and time step for the prompt of `inputs`, in memory of its own.
ForwardInputs next_step(const ForwardInputs& inputs) {
  ForwardInputs next = inputs;
  next.x = inputs.x * 0.9;
  next.timesteps = inputs.timesteps - 10.0;
  next.context = inputs.context.clone();
  return next;
}

TEST(ProjectionCache, LaterCallsWithThePromptAreEqualBitForBitAndMakeNoKeysAndValues) {
  for (const char* preset : {"sd15", "sd21", "sdxl"}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      TinyUNet tiny(preset);
      ProjectionCache cache;
      ForwardInputs inputs = tiny.inputs(7, 9, 2);
      for (at::Tensor* one : {&inputs.x, &inputs.context, &inputs.y}) {
        *one = one->defined() ? one->to(dtype) : *one;
      }
      for (int64_t step = 0; step < 3; ++step) {
        const at::Tensor expected = tiny.full(inputs);
        tiny.weights.clear();
        EXPECT_TRUE(at::equal(remembering(tiny, inputs, cache), expected)) << preset << step;
        EXPECT_EQ(prompt_uses(tiny) > 0, step == 0) << preset;
        EXPECT_GT(uses(tiny, ".attn1.to_k"), 0);
        EXPECT_GT(uses(tiny, ".attn2.to_q"), 0);
        inputs = next_step(inputs);
      }
    }
  }
}

TEST(ProjectionCache, ChangedPromptsAreMadeAnewAndKnownOnesAreFoundAgain) {
  TinyUNet tiny;
  ProjectionCache cache;
  const ForwardInputs both = tiny.inputs(8, 8, 2);
  std::map<std::string, ForwardInputs> calls = {{"both", both}, {"flipped", both}, {"one token", both}};
  calls["flipped"].context = both.context.flip(0);
  calls["one token"].context = both.context.clone();
  calls["one token"].context[1][4][3] += 1e-3;
  calls["shorter"] = both;
  calls["shorter"].context = both.context.narrow(1, 0, 4);
  for (const bool known : {false, true}) {
    for (const auto& [name, inputs] : calls) {
      const at::Tensor expected = tiny.full(inputs);
      tiny.weights.clear();
      EXPECT_TRUE(at::equal(remembering(tiny, inputs, cache), expected)) << name;
      EXPECT_EQ(prompt_uses(tiny) == 0, known) << name;
    }
  }
}

TEST(ProjectionCache, APromptThatIsWrittenOverIsAnotherOne) {
  TinyUNet tiny;
  ProjectionCache cache;
  ForwardInputs inputs = tiny.inputs();
  (void)remembering(tiny, inputs, cache);
  inputs.context.mul_(-1.0);
  EXPECT_TRUE(at::equal(remembering(tiny, inputs, cache), tiny.full(inputs)));
}

TEST(ProjectionCache, ChangedWeightsCountOnceItIsCleared) {
  TinyUNet tiny;
  ProjectionCache cache;
  const ForwardInputs inputs = tiny.inputs();
  const at::Tensor before = remembering(tiny, inputs, cache);
  TinyUNet other("other weights", testing::tiny_spec("sd15"));
  for (size_t leaf = 0; leaf < other.tensors.size(); ++leaf) {
    if (other.unet.leaves()[leaf].name.ends_with(".attn2.to_v")) {
      other.tensors[leaf].weight.mul_(-1.0);  // these tensors are this test's alone
    }
  }
  cache.clear();
  EXPECT_EQ(cache.bytes(), 0);
  const at::Tensor after = remembering(other, inputs, cache);
  EXPECT_TRUE(at::equal(after, other.full(inputs)));
  EXPECT_FALSE(at::equal(after, before));
}

/// Adds to the context of one attention, as an attn2_patch may.
class ContextHooks final : public Hooks {
 public:
  [[nodiscard]] bool hooks_transformers() const override { return true; }
  void attention_inputs(AttentionUnit unit, at::Tensor&, at::Tensor& context, at::Tensor&) override {
    if (unit == AttentionUnit::kAttn2) {
      context = context + static_cast<double>(++calls_);
    }
  }

 private:
  int64_t calls_ = 0;
};

TEST(ProjectionCache, HooksInsideATransformerSeeTheirKeysAndValuesMadeAnew) {
  TinyUNet tiny;
  ProjectionCache cache;
  const ForwardInputs inputs = tiny.inputs();
  (void)remembering(tiny, inputs, cache);
  const int64_t plain = cache.bytes();
  ContextHooks first;
  ContextHooks second;
  EXPECT_TRUE(at::equal(remembering(tiny, inputs, cache, first), tiny.full(inputs, second)));
  EXPECT_EQ(cache.bytes(), plain);
}

TEST(ProjectionCache, InheritedCallsFindWhatFullOnesMade) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs(8, 8, 2);
  SamplingRun plain = inheriting_run(tiny, "out.8, guidance");
  SamplingRun run = inheriting_run(tiny, "out.8, guidance");
  ProjectionCache cache;
  Hooks none;
  ForwardInputs given = inputs;
  for (const double sigma : {10.0, 9.0, 8.0}) {
    const at::Tensor expected = tiny.evaluate(plain, sigma, given, none, {"cond", "uncond"}, {0, 1});
    tiny.weights.clear();
    run.begin_evaluation(sigma);
    CallFeatures features = run.begin_call({"cond", "uncond"}, {0, 1}, 2);
    EXPECT_TRUE(at::equal(tiny.unet.forward(given, tiny.weights, none, features, {.projections = &cache}), expected));
    run.end_call(features);
    // A guided call runs cond alone, which is a prompt of its own.
    EXPECT_EQ(prompt_uses(tiny) > 0, sigma > 8.0);
    given = next_step(given);
  }
}

TEST(ProjectionCache, BytesAreCountedAndNeverMoreThanDeclared) {
  for (const char* preset : {"sd15", "sdxl"}) {
    TinyUNet tiny(preset);
    ProjectionCache cache;
    ForwardInputs inputs = tiny.inputs(8, 8, 2);
    const int64_t declared = projection_bytes(tiny.unet.topology(), 2, inputs.context.size(1), 4);
    for (int64_t prompt = 1; prompt <= ProjectionCache::kInputs + 2; ++prompt) {
      (void)remembering(tiny, inputs, cache);
      const int64_t held = std::min(prompt, ProjectionCache::kInputs);
      EXPECT_EQ(cache.bytes() * ProjectionCache::kInputs, declared * held) << preset;
      inputs.context = inputs.context + 1.0;
    }
    cache.clear();
    EXPECT_EQ(cache.bytes(), 0);
    EXPECT_EQ(cache.peak_bytes(), declared);
  }
}

TEST(ProjectionCache, ThePromptUsedLongestAgoIsDropped) {
  ProjectionCache cache;
  const auto prompt = [](float value) { return at::full({1, 2, 3}, value); };
  for (int64_t i = 0; i < ProjectionCache::kInputs; ++i) {
    cache.of(prompt(static_cast<float>(i)))->keep(kLeaf, prompt(static_cast<float>(i)));
  }
  EXPECT_TRUE(cache.of(prompt(0))->find(kLeaf).defined());  // used again
  (void)cache.of(prompt(99));
  EXPECT_TRUE(cache.of(prompt(0))->find(kLeaf).defined());
  EXPECT_FALSE(cache.of(prompt(1))->find(kLeaf).defined());
}

TEST(ProjectionCache, APromptIsKnownByItsBytesWhateverItsOrderInMemory) {
  ProjectionCache cache;
  at::Tensor input = noise({2, 3, 4}, 1);
  input[0][0][0] = std::numeric_limits<float>::quiet_NaN();  // equals nothing, not even itself
  cache.of(input)->keep(kLeaf, input);
  EXPECT_TRUE(cache.of(input.transpose(1, 2).contiguous().transpose(1, 2))->find(kLeaf).defined());
  EXPECT_FALSE(cache.of(input.view({2, 4, 3}))->find(kLeaf).defined());
  EXPECT_FALSE(cache.of(input.to(at::kDouble))->find(kLeaf).defined());
}

TEST(ProjectionCache, WhereAGradientIsRecordedNothingIsKept) {
  ProjectionCache cache;
  EXPECT_EQ(cache.of(at::zeros({1, 2, 3}).requires_grad_()), nullptr);
  const auto known = cache.of(at::zeros({1, 2, 3}));
  known->keep(kLeaf, at::zeros({1}).requires_grad_() * 2.0);
  EXPECT_FALSE(known->find(kLeaf).defined());
}

TEST(ProjectionCache, OnADeviceThatComputesBehindTheCallersBackNothingIsCompared) {
  ProjectionCache cache;
  EXPECT_EQ(cache.of(at::zeros({1, 2, 3}, at::kMeta)), nullptr);
  EXPECT_EQ(cache.bytes(), 0);
}

}  // namespace
}  // namespace asdm
