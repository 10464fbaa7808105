// ME-CondConv in the UNetSpec, what its leaves start from, and the node that asks for it.
#include <gtest/gtest.h>

#include <cmath>

#include "native/assembly/me_cond_conv_start.h"
#include "native/format/me_cond_conv_sites.h"
#include "nodes/registry.h"
#include "tests/native/error_of.h"
#include "tests/native/recording_host.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

using Names = std::vector<std::string>;

UNetSpec shallow() { return without(preset_spec("sd15"), {"in.2", "in.5", "out.7", "out.10"}); }

UNetSpec with_site(UNetSpec spec, const std::string& site, const ExpertRouting& routing = {}) {
  spec.me_cond_conv.push_back({site, routing});
  return spec;
}

TEST(MECondConvSites, TravelInTheSpecAndAreCheckedThere) {
  const UNetSpec spec = with_site(with_site(shallow(), "in.1.res.conv2"), "out.9.res.conv1",
                                  {3, RoutingForm::kSigmoid, RoutingSource::kInputShared, 2.5});
  const std::string json = to_json(spec);
  expect_contains(json, R"("me_cond_conv":[{"site":"in.1.res.conv2","experts":2,"routing":"softmax","source":"input",)"
                        R"("temperature":1.0},{"site":"out.9.res.conv1","experts":3,"routing":"sigmoid",)"
                        R"("source":"input_shared","temperature":2.5}])");
  EXPECT_EQ(spec_from_json(json), spec);
  EXPECT_EQ(to_json(shallow()).find("me_cond_conv"), std::string::npos);

  struct Row {
    std::string from;
    std::string to;
    std::string message;
  };
  const std::vector<Row> rows = {
      {"in.1.res.conv2", "in.1.res.conv3", "UNetSpec.me_cond_conv: expected one of: in.1.res.conv1, in.1.res.conv2, "},
      {"in.1.res.conv2", "in.2.res.conv2", "got in.2.res.conv2, which was removed"},
      {"in.1.res.conv2", "out.11.res.conv1", "expected each site once, in evaluation order"},
      {"in.1.res.conv2", "out.9.res.conv1", "got out.9.res.conv1 after out.9.res.conv1"},
      {R"("experts":2)", R"("experts":1)", "UNetSpec.me_cond_conv[0].experts: expected 2 to 64, got 1"},
      {R"("experts":3)", R"("experts":"3")", "UNetSpec.me_cond_conv[1].experts: expected an integer"},
      {"softmax", "hardmax", "UNetSpec.me_cond_conv[0].routing: expected one of: softmax, sigmoid, got 'hardmax'"},
      {"input_shared", "output", "[1].source: expected one of: input, input_shared, time, got 'output'"},
      {"2.5", "0.0", "UNetSpec.me_cond_conv[1].temperature: expected a number above 0, got 0"},
      {"2.5", R"("hot")", "UNetSpec.me_cond_conv[1].temperature: expected a number, got \"hot\""},
      {R"("source":"input",)", "", "UNetSpec.me_cond_conv[0]: expected exactly the keys"},
      {R"([{"site")", R"([7,{"site")", "UNetSpec.me_cond_conv[0]: expected an object, got 7"},
  };
  for (const Row& row : rows) {
    std::string changed = json;
    changed.replace(changed.find(row.from), row.from.size(), row.to);
    expect_contains(error_of([&] { return spec_from_json(changed); }), row.message);
  }
}

TEST(MECondConvSites, GoWithTheBlocksTheyAreIn) {
  const UNetSpec spec = with_site(with_site(preset_spec("sd15"), "in.1.res.conv2"), "out.10.res.conv2");
  const UNetSpec smaller = without(spec, {"in.2", "out.10"});
  ASSERT_EQ(smaller.me_cond_conv.size(), 1U);
  EXPECT_EQ(smaller.me_cond_conv.front().site, "in.1.res.conv2");
}

Names sites_of(const UNetSpec& spec) {
  Names sites;
  for (const MECondConvSite& site : spec.me_cond_conv) {
    sites.push_back(site.site);
  }
  return sites;
}

TEST(MECondConvStart, AutomaticSitesAreWhereSomethingWasLost) {
  const UNetSpec full = preset_spec("sd15");
  EXPECT_EQ(sites_of(start_me_cond_conv(shallow(), full, {}).spec),
            (Names{"in.1.res.conv2", "in.4.res.conv2", "out.6.res.conv2", "out.8.res.conv2", "out.9.res.conv2",
                   "out.11.res.conv2"}));
  EXPECT_EQ(sites_of(start_me_cond_conv(without(full, {"mid.attn"}), full, {}).spec),
            (Names{"mid.res0.conv2", "mid.res1.conv2"}));
  expect_contains(error_of([&] { return start_me_cond_conv(full, full, {}).spec; }), "or a UNet that lacks parts");
}

/// "leaf <- teacher:from", "leaf <- from ~" where it is perturbed, "leaf <- c" for a router, "leaf <- rest" for expert
/// 0.
std::string text_of(const LeafStart& start) {
  if (!start.bias.empty()) {
    return start.leaf + " <- c";
  }
  if (!start.shares.empty()) {
    return start.leaf + " <- rest";
  }
  return start.leaf + " <- " + (start.of_teacher ? "teacher:" : "") + start.from +
         (start.perturbation > 0.0 ? " ~" : "");
}

Names starts_of(const UNetSpec& student, const UNetSpec& teacher, const std::string& sites, int64_t experts) {
  Names starts;
  for (const LeafStart& leaf : start_me_cond_conv(student, teacher, {.sites = sites, .routing = {experts}}).leaves) {
    starts.push_back(text_of(leaf));
  }
  return starts;
}

TEST(MECondConvStart, ExpertsComeOfThePrunedConvolutionsThatFit) {
  const UNetSpec full = preset_spec("sd15");
  struct Row {
    const char* site;
    int64_t experts;
    Names starts;
  };
  const std::vector<Row> rows = {
      {"in.1.res.conv2",
       2,
       {"input_blocks.1.0.conv2_experts.1 <- teacher:input_blocks.2.0.out_layers.3",
        "input_blocks.1.0.out_layers.3 <- rest", "input_blocks.1.0.conv2_routing <- c"}},
      {"out.8.res.conv2",
       3,
       {"output_blocks.8.0.conv2_experts.1 <- teacher:output_blocks.7.0.out_layers.3",
        "output_blocks.8.0.conv2_experts.2 <- output_blocks.8.0.out_layers.3 ~",
        "output_blocks.8.0.out_layers.3 <- rest", "output_blocks.8.0.conv2_routing <- c"}},
      // in.4 widens from 320 channels, in.5 does not.
      {"in.4.res.conv1",
       2,
       {"input_blocks.4.0.conv1_experts.1 <- input_blocks.4.0.in_layers.2 ~", "input_blocks.4.0.in_layers.2 <- rest",
        "input_blocks.4.0.conv1_routing <- c"}},
      {"out.11.res.conv1",
       2,
       {"output_blocks.11.0.conv1_experts.1 <- teacher:output_blocks.10.0.in_layers.2",
        "output_blocks.11.0.in_layers.2 <- rest", "output_blocks.11.0.conv1_routing <- c"}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(starts_of(shallow(), full, row.site, row.experts), row.starts);
    EXPECT_EQ(starts_of(shallow(), shallow(), row.site, 2).front().back(), '~') << "pruned ones are nowhere";
  }
}

TEST(MECondConvStart, RoutersGiveTheSharesThatExpertZeroIsReckonedFrom) {
  for (const auto& [name, form] : kRoutingForms) {
    for (const int64_t experts : {2, 3, 8}) {
      for (const double temperature : {1.0, 5.0}) {
        const MECondConvStart start = start_me_cond_conv(
            shallow(), preset_spec("sd15"),
            {.sites = "in.1.res.conv2", .routing = {experts, form, RoutingSource::kInput, temperature}});
        const std::vector<double>& bias = start.leaves.back().bias;
        ASSERT_EQ(bias.size(), static_cast<size_t>(experts));
        std::vector<double> given;
        double sum = 0.0;
        for (const double value : bias) {
          given.push_back(form == RoutingForm::kSoftmax ? std::exp(value / temperature)
                                                        : 1.0 / (1.0 + std::exp(-value / temperature)));
          sum += given.back();
        }
        const double scale = form == RoutingForm::kSoftmax ? 1.0 / sum : 1.0;
        const LeafStart& kept = start.leaves[start.leaves.size() - 2];
        ASSERT_EQ(kept.shares.size(), bias.size());
        ASSERT_EQ(kept.beside.size(), bias.size() - 1);
        for (size_t e = 0; e < bias.size(); ++e) {
          const double wanted = e == 0 ? 0.75 : 0.25 / static_cast<double>(experts - 1);
          EXPECT_NEAR(given[e] * scale, wanted, 1e-9) << name << experts;
          EXPECT_NEAR(kept.shares[e], wanted, 1e-9) << name << experts;
        }
      }
    }
  }
}

TEST(MECondConvStart, SeedsDifferFromLeafToLeaf) {
  const MECondConvStart start =
      start_me_cond_conv(shallow(), shallow(), {.sites = "in.1.res.conv2 in.4.res.conv2", .routing = {3}, .seed = 7});
  std::vector<int64_t> seeds;
  for (const LeafStart& leaf : start.leaves) {
    if (leaf.bias.empty() && leaf.shares.empty()) {
      seeds.push_back(leaf.seed);
    }
  }
  EXPECT_EQ(seeds, (std::vector<int64_t>{7, 8, 11, 12}));
}

TEST(MECondConvStart, SitesAreAddedInOrderAndRefusedTwice) {
  const UNetSpec full = preset_spec("sd15");
  const UNetSpec once = start_me_cond_conv(shallow(), full, {.sites = "out.9.res.conv2"}).spec;
  EXPECT_EQ(sites_of(start_me_cond_conv(once, full, {.sites = "out.11.res.conv2,in.1.res.conv2"}).spec),
            (Names{"in.1.res.conv2", "out.9.res.conv2", "out.11.res.conv2"}));
  expect_contains(error_of([&] { return start_me_cond_conv(once, full, {.sites = "out.9.res.conv2"}).spec; }),
                  "got out.9.res.conv2, which is ME-CondConv already");
  expect_contains(error_of([&] { return start_me_cond_conv(shallow(), full, {.sites = "in.5.res.conv2"}).spec; }),
                  "got in.5.res.conv2, which was removed");
  expect_contains(error_of([&] { return start_me_cond_conv(shallow(), preset_spec("sd21"), {}).spec; }),
                  "ME-CondConv teacher: expected the architecture");
  expect_contains(error_of([&] { return start_me_cond_conv(shallow(), full, {.sites = " "}).spec; }), "got none");
}

TEST(MECondConvStart, RefusesRoutingWithoutSense) {
  for (const int64_t experts : {-1, 0, 1, 65}) {
    MECondConvRequest request;
    request.routing.experts = experts;
    expect_contains(error_of([&] { return start_me_cond_conv(shallow(), preset_spec("sd15"), request); }),
                    "experts: expected 2 to 64, got " + std::to_string(experts));
  }
}

TEST(MECondConvNode, AsksTheHostForTheExperts) {
  testing::RecordingHost host;
  host.description.spec = shallow();
  const auto& node = nodes::find_node("ASDMMECondConv");
  nodes::Result result = node.execute(host, {{"model", testing::named("model")},
                                             {"experts", int64_t{3}},
                                             {"routing", std::string("sigmoid")},
                                             {"source", std::string("time")}});
  EXPECT_EQ(testing::label_of(std::get<nodes::Handle>(result.outputs.at(0))), "model+experts+native");
  EXPECT_EQ(host.start.spec.me_cond_conv.size(), 6U);
  EXPECT_EQ(host.start.spec.me_cond_conv.front().routing,
            (ExpertRouting{3, RoutingForm::kSigmoid, RoutingSource::kTime, 1.0}));
  host.description.spec = shallow();
  result = node.execute(host, {{"model", testing::named("model")}, {"teacher", testing::named("full")}});
  EXPECT_EQ(testing::label_of(std::get<nodes::Handle>(result.outputs.at(0))), "model+experts of full+native");
  host.description = {"Flux", std::nullopt, "no UNet"};
  expect_contains(error_of([&] { return node.execute(host, {{"model", testing::named("model")}}); }), "Flux: no UNet");
}

}  // namespace
}  // namespace asdm
