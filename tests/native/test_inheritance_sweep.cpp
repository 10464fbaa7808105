// Hundreds of random settings: every run finishes, and its record adds up.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "native/planning/liveness.h"
#include "tests/native/tiny_sampler.h"

namespace asdm {
namespace {

using testing::Batching;
using testing::quick_unet;
using testing::Sampler;
using testing::TinyUNet;

using SamplingRun = asdm::Run;  // inside a test, `Run` is a member of ::testing::Test

class Draw {
 public:
  explicit Draw(uint32_t seed) : random_(seed) {}
  int64_t below(int64_t end) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(end)); }
  bool chance(int64_t one_in) { return below(one_in) == 0; }
  template <class T>
  const T& of(const std::vector<T>& choices) {
    return choices[static_cast<size_t>(below(static_cast<int64_t>(choices.size())))];
  }

 private:
  std::mt19937 random_;
};

std::string draw_sites(Draw& draw, const Topology& topology) {
  if (draw.chance(3)) {
    return draw.of(std::vector<std::string>{"auto", "auto", "encoder", "deepcache", "attn1", "attn2", "ff",
                                            "transformers", "second_layers", "out", "guidance", "in.*.attn",
                                            "out.*.res", "*.*.attn.*.ff"});
  }
  std::string text;
  const int64_t words = 1 + draw.below(4);
  for (int64_t i = 0; i < words; ++i) {
    NodeId node = topology.whole() - 1;
    while (node == topology.whole() - 1) {  // the last block is no site
      node = draw.below(static_cast<int64_t>(topology.nodes.size()));
    }
    text += (i > 0 ? ", " : "") + topology.node(node).address;
  }
  return text;
}

InheritanceRequest draw_request(Draw& draw, const Topology& topology) {
  InheritanceRequest request;
  request.level = draw.of(site_level_names());
  request.mode = draw.of(time_step_mode_names());
  request.value = draw.of(value_form_names());
  request.storage = draw.of(storage_names());
  request.sites = draw_sites(draw, topology);
  request.interval = 1 + draw.below(4);
  request.full_evaluations = draw.chance(2) ? 0 : 1 + draw.below(6);
  const bool searches_depth = request.mode == "adaptive" && request.full_evaluations == 0;
  if (!searches_depth && draw.chance(2)) {
    request.sites = "0-0.4: " + draw_sites(draw, topology) + "; 0.5 - 1: " + draw_sites(draw, topology);
  }
  request.threshold = 0.02 * static_cast<double>(1 + draw.below(40));
  request.full_at = draw.chance(2) ? "0, 2, 3" : "1001011";
  request.start_percent = 0.1 * static_cast<double>(draw.chance(2) ? 0 : draw.below(5));
  request.end_percent = 1.0 - 0.1 * static_cast<double>(draw.chance(2) ? 0 : draw.below(5));
  request.max_age = draw.chance(2) ? 0 : 1 + draw.below(3);
  request.first_full = draw.chance(2) ? 0 : draw.below(3);
  request.last_full = draw.chance(2) ? 0 : draw.below(3);
  return request;
}

/// Counts that must agree, whatever was inherited.
void expect_adds_up(const TinyUNet& tiny, const SamplingRun& run, int64_t evaluations) {
  const RunRecord& record = run.record();
  EXPECT_EQ(record.evaluations, evaluations);
  EXPECT_EQ(record.full + record.inherited, evaluations);
  ASSERT_EQ(static_cast<int64_t>(record.log.size()), evaluations);
  const auto planned = static_cast<int64_t>(std::count_if(
      record.log.begin(), record.log.end(), [](const EvaluationRecord& entry) { return !entry.sites.empty(); }));
  EXPECT_LE(planned, record.inherited);
  if (record.forced_refreshes.empty()) {
    EXPECT_EQ(planned, record.inherited);
  }
  const NodeId whole = tiny.unet.topology().whole();
  for (size_t node = 0; node < record.computed_nodes.size(); ++node) {
    const int64_t met = record.computed_nodes[node] + record.inherited_nodes[node] + record.forecast_nodes[node];
    EXPECT_LE(met, record.calls) << tiny.unet.topology().nodes[node].address;
    if (static_cast<NodeId>(node) == whole) {
      EXPECT_EQ(met, record.calls);  // every call gives a prediction
    }
  }
}

constexpr uint32_t kPerTest = 50;

/// Some seeds each, so that they run side by side.
class InheritanceSweep : public ::testing::TestWithParam<uint32_t> {};

TEST_P(InheritanceSweep, RandomSettingsFinishAndAddUp) {
  TinyUNet tiny = quick_unet();
  const Topology& topology = tiny.unet.topology();
  const std::vector<double> sigmas = {12, 7, 4, 2.2, 1.2, 0.6, 0.2, 0};
  int64_t inheriting = 0;
  for (uint32_t seed = GetParam() * kPerTest; seed < (GetParam() + 1) * kPerTest; ++seed) {
    Draw draw(seed);
    const InheritanceRequest request = draw_request(draw, topology);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + request.mode + ", " + request.value + ", " + request.sites);
    SamplingRun run(settings_of(request, topology, tiny.unet.spec()), sigmas, tiny.node_count());
    Sampler sampler{draw.chance(4),
                    draw.of(std::vector<Batching>{Batching::kTogether, Batching::kTogether, Batching::kApart,
                                                  Batching::kFlipping, Batching::kCondAlone})};
    sampler.width = draw.chance(3) ? 5 : 4;
    sampler.height = 4;
    const at::Tensor latent = sampler.sample(tiny, run, sigmas, seed);
    EXPECT_TRUE(at::isfinite(latent).all().item<bool>());
    expect_adds_up(tiny, run, sampler.evaluations);
    inheriting += run.record().inherited > 0 ? 1 : 0;
    run.clear();
    EXPECT_EQ(run.cache_bytes(), 0);
  }
  EXPECT_GT(inheriting, kPerTest / 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, InheritanceSweep, ::testing::Range(0U, 6U));

TEST(Liveness, TheWalkWithoutTensorsAgreesWithTheCalls) {
  TinyUNet tiny = quick_unet();
  const Topology& topology = tiny.unet.topology();
  const ForwardInputs inputs = tiny.inputs(5, 4, 1);
  for (uint32_t seed = 0; seed < 60; ++seed) {
    Draw draw(seed + 1000);
    const std::string text = draw_sites(draw, topology);
    SCOPED_TRACE(text);
    const ResolvedSites resolved = tiny.resolve(text);
    SamplingRun run = testing::inheriting_run(tiny, text);
    Hooks none;
    tiny.evaluate(run, 10, inputs, none);
    run.begin_evaluation(9);
    CallFeatures call = run.begin_call({"cond"}, {0}, 1);
    (void)tiny.unet.forward(inputs, tiny.weights, none, call);
    std::set<NodeId> sites(resolved.phases.front().sites.begin(), resolved.phases.front().sites.end());
    sites.erase(topology.guidance());  // a call of one chunk
    sites.erase(topology.control());
    const NodesOfCall live = live_nodes(topology, sites, resolved.whole_outputs);
    EXPECT_EQ(std::set<NodeId>(call.ledger().computed.begin(), call.ledger().computed.end()),
              std::set<NodeId>(live.computed.begin(), live.computed.end()));
    EXPECT_EQ(std::set<NodeId>(call.ledger().inherited.begin(), call.ledger().inherited.end()),
              std::set<NodeId>(live.inherited.begin(), live.inherited.end()));
  }
}

}  // namespace
}  // namespace asdm
