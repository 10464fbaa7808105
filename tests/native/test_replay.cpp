// Every run can be recorded and replayed to the bit.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/native/error_of.h"
#include "tests/native/tiny_sampler.h"

namespace asdm {
namespace {

using testing::Batching;
using testing::error_of;
using testing::expect_contains;
using testing::kTenSteps;
using testing::Sampler;
using testing::TinyUNet;

using SamplingRun = asdm::Run;  // inside a test, `Run` is a member of ::testing::Test

/// A plan of the sites of each evaluation.
Plan plan_of(const std::vector<std::vector<std::string>>& evaluations, const std::string& value = "hold") {
  Plan plan;
  plan.value = value;
  for (const std::vector<std::string>& sites : evaluations) {
    plan.evaluations.push_back({.sites = sites});
  }
  return plan;
}

/// The plan of `run`, as it would be written to a file.
Plan written(const TinyUNet& tiny, const SamplingRun& run, const InheritanceSettings& settings,
             const std::string& value) {
  std::vector<std::vector<std::string>> evaluations;
  for (const std::vector<NodeId>& sites : run.plan()) {
    evaluations.push_back(site_texts(tiny.unet.topology(), sites, settings.whole_outputs));
  }
  return plan_of(evaluations, value);
}

struct Row {
  const char* sites;
  const char* mode;
  double amount;  ///< interval, full evaluations or threshold, by mode
  const char* value = "hold";
  Batching batching = Batching::kTogether;
  bool heun = false;
};

InheritanceRequest request_of(const Row& row) {
  InheritanceRequest request;
  request.sites = row.sites;
  request.mode = row.mode;
  request.value = row.value;
  const std::string mode = row.mode;
  if (mode == "easycache" || (mode == "adaptive" && row.amount < 1)) {
    request.threshold = row.amount;
  } else if (mode == "adaptive") {
    request.full_evaluations = static_cast<int64_t>(row.amount);
  } else {
    request.interval = static_cast<int64_t>(row.amount);
  }
  request.full_at = "0, 1, 4, 7";
  return request;
}

const std::vector<Row> kRows = {
    {"auto", "uniform", 3},
    {"auto", "uniform", 3, "taylor2"},
    {"out.8", "front", 1, "taylor1"},
    {"out.10", "quadratic", 3, "affine"},
    {"out.3", "explicit", 1, "taylor1"},
    {"auto", "growing", 2, "hold", Batching::kFlipping},
    {"out.9", "log_snr", 2, "taylor1", Batching::kApart},
    {"transformers", "uniform", 2, "taylor1"},
    {"in.4.attn, in.1.attn.0.ff, out.9.res:output", "uniform", 4, "affine"},
    {"attn1, in.4.res.conv", "triangular", 2, "hold", Batching::kFlipping},
    {"guidance", "uniform", 2, "taylor1"},
    {"out.8, guidance", "uniform", 3, "hold", Batching::kFlipping},
    {"out", "uniform", 2, "taylor1"},
    {"out", "easycache", 0.3, "hold"},
    {"auto", "adaptive", 0.3, "taylor1"},
    {"auto", "adaptive", 0.3, "hold", Batching::kApart, true},
    {"transformers", "adaptive", 0.5, "taylor1"},
    {"auto", "adaptive", 4, "taylor2"},
    {"attn1, ff", "adaptive", 5, "hold", Batching::kTogether, true},
    {"0-0.4: out.8; 0.4-1: out.10", "segment", 3, "taylor1"},
    {"0-0.5: transformers; 0.5-0.8: out.8; 0.8-1: guidance", "segment", 2, "hold", Batching::kTogether, true},
    {"auto", "segment", 3, "affine", Batching::kFlipping},
    {"0-0.5: out.10; 0.5-1: out.8", "log_snr", 2, "taylor1"},
    {"0-0.5: out.10; 0.6-1: transformers", "adaptive", 4},
    {"control, out.8", "uniform", 2},
};

class ReplayedMode : public ::testing::TestWithParam<size_t> {};

TEST_P(ReplayedMode, GivesTheSameBits) {
  TinyUNet tiny;
  const Row& row = kRows.at(GetParam());
  SCOPED_TRACE(std::string(row.mode) + " of " + row.sites);
  const InheritanceSettings settings = settings_of(request_of(row), tiny.unet.topology(), tiny.unet.spec());
  SamplingRun run(settings, kTenSteps, tiny.node_count());
  const at::Tensor expected = Sampler{row.heun, row.batching}.sample(tiny, run, kTenSteps);
  EXPECT_GT(run.record().inherited, 0);
  const Plan plan = written(tiny, run, settings, row.value);
  SamplingRun again(settings_of(plan, tiny.unet.topology(), tiny.unet.spec()), kTenSteps, tiny.node_count());
  const at::Tensor got = Sampler{row.heun, row.batching}.sample(tiny, again, kTenSteps);
  EXPECT_TRUE(at::equal(got, expected)) << (got - expected).abs().max().item<double>();
  EXPECT_EQ(written(tiny, again, settings, row.value), plan);
}

INSTANTIATE_TEST_SUITE_P(Replay, ReplayedMode, ::testing::Range(size_t{0}, kRows.size()));

TEST(Replay, ARunIsTheSameTwice) {
  TinyUNet tiny;
  const InheritanceSettings settings =
      settings_of(request_of({"auto", "adaptive", 0.3, "taylor1"}), tiny.unet.topology(), tiny.unet.spec());
  std::vector<at::Tensor> latents;
  for (int i = 0; i < 2; ++i) {
    SamplingRun run(settings, kTenSteps, tiny.node_count());
    latents.push_back(Sampler{}.sample(tiny, run, kTenSteps));
  }
  EXPECT_TRUE(at::equal(latents[0], latents[1]));
}

TEST(Replay, BehindThePlansEndEverythingIsFull) {
  TinyUNet tiny;
  const InheritanceSettings settings =
      settings_of(plan_of({{}, {"out.8"}, {"out.8"}}), tiny.unet.topology(), tiny.unet.spec());
  SamplingRun run(settings, kTenSteps, tiny.node_count());
  (void)Sampler{}.sample(tiny, run, kTenSteps);
  EXPECT_EQ(run.record().inherited, 2);
  EXPECT_EQ(run.record().full, 8);
}

TEST(Replay, APlanNamesWhereItCannotBeFollowed) {
  TinyUNet tiny;
  const auto refused = [&](const std::vector<std::vector<std::string>>& plan) {
    return error_of([&] { return settings_of(plan_of(plan), tiny.unet.topology(), tiny.unet.spec()).max_age; });
  };
  expect_contains(refused({{}, {"out.8"}, {"out.8", "out.99"}}), "evaluations[2].sites: expected one of: ");
  EXPECT_EQ(refused({{}, {"in.4.attn:output"}, {}, {"in.4.attn"}}),
            "evaluations[3].sites: expected one form of in.4.attn, with ':output' or without, got both");
}

TEST(Replay, TheLogSaysWhatWasDone) {
  TinyUNet tiny;
  InheritanceRequest request;
  request.sites = "out.8, out.9.attn.0.attn1";
  request.interval = 2;
  request.value = "taylor1";
  const InheritanceSettings settings = settings_of(request, tiny.unet.topology(), tiny.unet.spec());
  SamplingRun run(settings, kTenSteps, tiny.node_count());
  (void)Sampler{}.sample(tiny, run, kTenSteps);
  const NodeId cut = tiny.sites("out.8").front();
  const NodeId unit = tiny.sites("out.9.attn.0.attn1").front();
  const NodeId middle = tiny.unet.topology().middle();
  ASSERT_EQ(run.record().log.size(), 10U);
  std::string cut_text;
  std::string middle_text;
  for (const EvaluationRecord& entry : run.record().log) {
    EXPECT_EQ(entry.actions.size(), 26U);  // the blocks and the unit
    EXPECT_EQ(entry.actions.at(cut), entry.actions.at(unit));
    cut_text += static_cast<char>(entry.actions.at(cut));
    middle_text += static_cast<char>(entry.actions.at(middle));
    EXPECT_EQ(entry.actions.at(0), NodeAction::kComputed);
  }
  EXPECT_EQ(cut_text, "cicfcfcfcf");
  EXPECT_EQ(middle_text, "c-c-c-c-c-");
  EXPECT_EQ(run.record().log[3].sigma, 7.0);
}

}  // namespace
}  // namespace asdm
