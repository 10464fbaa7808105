// Two runs at once, each in a thread of its own: the bits of each are those that it has alone. The preset `threads`
// runs these under ThreadSanitizer.
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <vector>

#include "native/inheritance/run.h"
#include "tests/native/tiny_sampler.h"

namespace asdm {
namespace {

using testing::kTenSteps;
using testing::quick_unet;
using testing::run_of;
using testing::Sampler;
using testing::TinyUNet;

/// The latent of a run on `tiny` that inherits `sites`.
at::Tensor sampled(TinyUNet& tiny, const char* sites, uint64_t seed) {
  InheritanceRequest request;
  request.sites = sites;
  request.interval = 2;
  Run run = run_of(tiny, request);
  return Sampler{}.sample(tiny, run, kTenSteps, seed);
}

/// Makes both runs alone and then at once, a few times over.
void expect_same_bits_at_once(TinyUNet& first, TinyUNet& second) {
  const std::vector<std::function<at::Tensor()>> runs = {[&] { return sampled(first, "out.2", 1); },
                                                         [&] { return sampled(second, "mid", 2); }};
  const std::vector<at::Tensor> alone = {runs[0](), runs[1]()};
  for (int round = 0; round < 3; ++round) {
    std::vector<at::Tensor> together(runs.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < runs.size(); ++i) {
      threads.emplace_back([&, i] { together[i] = runs[i](); });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (size_t i = 0; i < runs.size(); ++i) {
      EXPECT_TRUE(at::equal(together[i], alone[i])) << "run " << i << ", round " << round;
    }
  }
}

TEST(Threads, TwoRunsOnTwoUNets) {
  TinyUNet first = quick_unet();
  TinyUNet second("second", first.unet.spec());
  expect_same_bits_at_once(first, second);
}

TEST(Threads, TwoRunsOnTheSameWeights) {
  TinyUNet first = quick_unet();
  TinyUNet second = quick_unet();
  ASSERT_TRUE(first.tensors.front().weight.is_alias_of(second.tensors.front().weight));
  expect_same_bits_at_once(first, second);
}

}  // namespace
}  // namespace asdm
