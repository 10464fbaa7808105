// A call whose work is done again elsewhere, as a CUDA graph does it: what it books and leaves behind.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "native/inheritance/call_features.h"

namespace asdm {
namespace {

using Nodes = std::vector<NodeId>;

constexpr NodeId kSite = 2;
constexpr NodeId kOther = 3;
constexpr NodeId kGuidance = 4;

at::Tensor feature(float value, int64_t rows = 1) { return at::full({rows, 1, 2, 2}, value); }

/// Cond and uncond of a call that inherits `values`, each stored twice where forecasts are asked for.
CallOrder order_of(const std::map<NodeId, at::Tensor>& values, ValueForm form = ValueForm::kHold) {
  auto group = std::make_shared<FeatureGroup>();
  CallOrder order;
  for (const auto& [node, value] : values) {
    FeatureSeries series(ValueSettings{.form = form});
    series.push(KeptValue(value * 0.5, Storage::kCompute), {0, 10.0});
    series.push(KeptValue(value, Storage::kCompute), {1, 9.0});
    group->nodes.emplace(node, std::move(series));
    order.sites.insert(node);
  }
  group->entered = {{kOther, {2, 2}}};
  order.keys = {"cond"};
  order.now = {2, 8.0};
  order.stored = group;
  order.wanted = {kSite};
  return order;
}

TEST(RepeatedCall, OnOtherMemoryItInheritsWhatLiesThere) {
  const CallFeatures call(order_of({{kSite, feature(1)}}));
  EXPECT_TRUE(at::equal(call.inherited_values().at(kSite), feature(1)));
  CallFeatures captured = call.on({{kSite, feature(5)}});
  EXPECT_TRUE(at::equal(captured.inherited(kSite), feature(5)));
  EXPECT_EQ(captured.ledger().inherited, Nodes{kSite});
  EXPECT_EQ(captured.keys(), call.keys());
  EXPECT_EQ(captured.wanted_nodes(), call.wanted_nodes());
  EXPECT_TRUE(captured.enter(kOther, {2, 2}));
  EXPECT_FALSE(captured.enter(kOther, {4, 4}));
}

TEST(RepeatedCall, TheValuesOfAGuidedCallAreThoseOfTheRowsThatRun) {
  at::Tensor both = feature(1, 2);
  both.select(0, 1).fill_(7);
  CallOrder order = order_of({{kSite, both}, {kGuidance, both}}, ValueForm::kHold);
  order.keys = {"uncond", "cond"};
  order.cond_rows = RowRange{1, 1};
  order.guidance = kGuidance;
  const auto values = CallFeatures(order).inherited_values();
  EXPECT_TRUE(at::equal(values.at(kSite), feature(7)));
  EXPECT_TRUE(at::equal(values.at(kGuidance), both));
}

TEST(RepeatedCall, BooksWhatTheCapturedOneDidUnderItsOwnKeys) {
  CallOrder order = order_of({});
  CallFeatures captured(order);
  ASSERT_TRUE(captured.enter(kSite, {2, 2}));
  captured.computed(kSite, feature(1));
  captured.computed(kOther, feature(1));
  order.keys = {"uncond"};
  order.storage = Storage::kBf16;
  CallFeatures call(order);
  at::Tensor pool = feature(7);
  call.repeat(captured, {{kSite, pool}});
  pool.fill_(99);  // the next replay writes there
  EXPECT_EQ(call.keys(), std::vector<std::string>{"uncond"});
  EXPECT_EQ(call.ledger().computed, (Nodes{kSite, kOther}));
  EXPECT_EQ(call.ledger().entered, captured.ledger().entered);
  EXPECT_EQ(call.ledger().kept_values().at(kSite).scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(call.ledger().kept_values().at(kSite).to(at::kFloat), feature(7)));
}

TEST(RepeatedCall, InheritsOnlyWhereTheCapturedOneDid) {
  CallFeatures captured(order_of({{kSite, feature(1)}}));
  (void)captured.inherited(kSite);
  // Captured with a value that was held, repeated with one that is forecast.
  CallFeatures call(order_of({{kSite, feature(1)}}, ValueForm::kTaylor1));
  call.repeat(captured, {});
  EXPECT_TRUE(call.inherits());
  EXPECT_EQ(call.ledger().inherited, Nodes{});
  EXPECT_EQ(call.ledger().forecast, Nodes{kSite});

  captured.abandon_inheritance("feature shape changed");
  captured.computed(kSite, feature(2));
  call.repeat(captured, captured.ledger().kept_values());
  EXPECT_FALSE(call.inherits());
  EXPECT_EQ(call.ledger().refusals, std::vector<std::string>{"feature shape changed"});
  EXPECT_EQ(call.ledger().forecast, Nodes{});
  EXPECT_EQ(call.ledger().computed, Nodes{kSite});
}

}  // namespace
}  // namespace asdm
