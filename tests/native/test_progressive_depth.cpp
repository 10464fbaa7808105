// Mode adaptive with a threshold: each evaluation descends the encoder until something has not changed.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/relative_change.h"
#include "tests/native/error_of.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::difference;
using testing::error_of;
using testing::kTenSteps;
using testing::run_of;
using testing::TinyUNet;

using Names = std::vector<std::string>;
using SamplingRun = asdm::Run;  // inside a test, `Run` is a member of ::testing::Test

InheritanceRequest adaptive(double threshold, const std::string& sites = "auto") {
  InheritanceRequest request;
  request.mode = "adaptive";
  request.threshold = threshold;
  request.sites = sites;
  return request;
}

/// The plan so far, as addresses.
std::vector<Names> plan_of(const TinyUNet& tiny, const SamplingRun& run) {
  std::vector<Names> plan;
  for (const std::vector<NodeId>& sites : run.plan()) {
    plan.push_back(site_texts(tiny.unet.topology(), sites, {}));
  }
  return plan;
}

ForwardInputs moved(const ForwardInputs& from, double by) {
  ForwardInputs inputs = from;
  inputs.x = from.x + testing::noise(from.x.sizes(), 99) * by;
  return inputs;
}

TEST(ProgressiveDepth, CutsThatAreWrittenOutAreAllThere) {
  const TinyUNet tiny;
  const auto cuts_of = [&](const std::string& sites) {
    std::vector<NodeId> cuts;
    for (const CutProbe& cut : settings_of(adaptive(0.1, sites), tiny.unet.topology(), tiny.unet.spec()).cuts) {
      cuts.push_back(cut.cut);
    }
    return cuts;
  };
  EXPECT_EQ(cuts_of("out.8, out.5, out.2, mid"), cuts_of("auto"));
  EXPECT_EQ(cuts_of("out.5, mid").size(), 2U);
}

TEST(ProgressiveDepth, AutoIsOneCutPerLevel) {
  for (const auto& [preset, expected] : std::map<std::string, std::map<std::string, std::string>>{
           {"sd15", {{"out.8", "in.2"}, {"out.5", "in.5"}, {"out.2", "in.8"}, {"mid", "in.11"}}},
           {"sdxl", {{"out.5", "in.2"}, {"out.2", "in.5"}, {"mid", "in.8"}}}}) {
    const TinyUNet tiny(preset);
    const InheritanceSettings settings = settings_of(adaptive(0.1), tiny.unet.topology(), tiny.unet.spec());
    std::map<std::string, std::string> cuts;
    for (const CutProbe& candidate : settings.cuts) {
      cuts[tiny.unet.topology().node(candidate.cut).address] = tiny.unet.topology().node(candidate.probe).address;
    }
    EXPECT_EQ(cuts, expected);
  }
}

TEST(ProgressiveDepth, WhatHasNotMovedIsInheritedAtTheFirstLevel) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  Hooks none;
  SamplingRun run = run_of(tiny, adaptive(1e-3));
  const at::Tensor full = tiny.evaluate(run, 10, inputs, none);
  tiny.weights.clear();
  EXPECT_LE(difference(tiny.evaluate(run, 9, inputs, none), full), 1e-5);
  EXPECT_EQ(plan_of(tiny, run), (std::vector<Names>{{}, {"out.8"}}));
  EXPECT_FALSE(tiny.weights.modules().contains("input_blocks.3"));
  tiny.evaluate(run, 8, tiny.inputs(8, 8, 1, 50), none);  // all is new
  EXPECT_EQ(plan_of(tiny, run).back(), Names{});
  EXPECT_EQ(run.record().full, 2);
  EXPECT_EQ(run.record().inherited, 1);
}

TEST(ProgressiveDepth, TheFirstLevelBelowTheThresholdIsTheCut) {
  TinyUNet tiny;
  const ForwardInputs before = tiny.inputs();
  const ForwardInputs after = moved(before, 0.05);
  const auto old_values = tiny.block_values(before);
  const auto new_values = tiny.block_values(after);
  std::map<std::string, double> changes;
  for (const int64_t probe : {2, 5, 8, 11}) {
    changes["in." + std::to_string(probe)] =
        relative_change(new_values[static_cast<size_t>(probe)], old_values[static_cast<size_t>(probe)]).item<double>();
  }
  const std::vector<std::pair<std::string, std::string>> levels = {
      {"in.2", "out.8"}, {"in.5", "out.5"}, {"in.8", "out.2"}, {"in.11", "mid"}};
  Hooks none;
  for (const double threshold : {0.5, 0.9, 1.1, 2.0}) {
    for (const auto& [scale, cut] : levels) {
      const double limit = changes.at(scale) * threshold;
      Names expected;
      for (const auto& [probe, candidate] : levels) {
        if (changes.at(probe) < limit) {
          expected = {candidate};
          break;
        }
      }
      SamplingRun run = run_of(tiny, adaptive(limit));
      tiny.evaluate(run, 10, before, none);
      tiny.evaluate(run, 9, after, none);
      EXPECT_EQ(plan_of(tiny, run).back(), expected) << limit;
    }
  }
}

TEST(ProgressiveDepth, AProbeStaysWithTheCutItTellsOf) {
  // Steps that are each below the threshold and together far above it must not go unnoticed.
  TinyUNet tiny;
  const ForwardInputs start = tiny.inputs();
  Hooks none;
  SamplingRun run = run_of(tiny, adaptive(0.2, "out.8"));
  tiny.evaluate(run, 10, start, none);
  int full = 0;
  for (int i = 1; i < 9; ++i) {
    const int64_t before = run.record().full;
    tiny.evaluate(run, 10 - i, moved(start, 0.06 * i), none);
    full += run.record().full > before ? 1 : 0;
  }
  EXPECT_GE(full, 1);
  EXPECT_LE(full, 6);
}

TEST(ProgressiveDepth, TheFirstCallDecidesAndTheOthersObey) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  const ForwardInputs other = tiny.inputs(8, 8, 1, 70);
  Hooks none;
  SamplingRun run = run_of(tiny, adaptive(1e-3));
  run.begin_evaluation(10);
  tiny.call(run, inputs, none, {"cond"});
  tiny.call(run, inputs, none, {"uncond"});
  run.begin_evaluation(9);
  tiny.call(run, inputs, none, {"cond"});
  EXPECT_EQ(run.sites_now(), tiny.sites("out.8"));
  tiny.weights.clear();
  tiny.call(run, other, none, {"uncond"});  // changed, but decided
  EXPECT_FALSE(tiny.weights.modules().contains("middle_block"));
  run.begin_evaluation(8);
  tiny.call(run, other, none, {"cond"});
  EXPECT_TRUE(run.sites_now().empty());
  tiny.weights.clear();
  tiny.call(run, inputs, none, {"uncond"});  // unchanged, but decided
  EXPECT_TRUE(tiny.weights.modules().contains("middle_block"));
  EXPECT_EQ(run.record().full, 2);
  EXPECT_EQ(run.record().inherited, 1);
}

TEST(ProgressiveDepth, KeepsGuardsWindowAndAge) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  Hooks none;
  InheritanceRequest request = adaptive(1.0);
  request.first_full = 2;
  request.last_full = 1;
  request.max_age = 3;
  SamplingRun run = run_of(tiny, request);
  std::string text;
  for (int i = 0; i < 10; ++i) {
    tiny.evaluate(run, 10 - i, inputs, none);
    text += run.plan().back().empty() ? 'F' : '.';
  }
  EXPECT_EQ(text, "FF...F...F");
}

TEST(ProgressiveDepth, ThresholdsWithOtherSitesGoByTheInputAlone) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  Hooks none;
  for (const char* sites : {"transformers", "encoder", "out", "out.8, guidance", "in.4"}) {
    SamplingRun run = run_of(tiny, adaptive(0.2, sites));
    tiny.evaluate(run, 10, inputs, none);
    tiny.evaluate(run, 9, moved(inputs, 0.01), none);
    tiny.evaluate(run, 8, tiny.inputs(8, 8, 1, 50), none);
    EXPECT_FALSE(run.plan()[1].empty()) << sites;
    EXPECT_TRUE(run.plan()[2].empty()) << sites;
  }
}

TEST(ProgressiveDepth, NeedsAThresholdOrABudget) {
  const TinyUNet tiny;
  const auto message = [&](const InheritanceRequest& request) {
    return error_of([&] { return settings_of(request, tiny.unet.topology(), tiny.unet.spec()).max_age; });
  };
  EXPECT_EQ(message(adaptive(0.0)),
            "threshold: expected more than 0, or full_evaluations above 0, in mode 'adaptive', got 0, with which "
            "nothing would be inherited");
  InheritanceRequest easy = adaptive(0.0);
  easy.mode = "easycache";
  EXPECT_EQ(message(easy),
            "threshold: expected more than 0 in mode 'easycache', got 0, with which nothing would be "
            "inherited");
  EXPECT_EQ(message(adaptive(-0.5)), "threshold: expected 0 or more, got -0.5");
  EXPECT_EQ(message(adaptive(0.1, "0-0.5: out.8")),
            "sites: expected no phases where mode 'adaptive' chooses among all sites (full_evaluations is 0), got "
            "phases");
}

}  // namespace
}  // namespace asdm
