// A call whose work is done again elsewhere, as a CUDA graph does it: what it books and leaves behind.
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "native/inheritance/call_features.h"

namespace asdm {
namespace {

using Nodes = std::vector<NodeId>;

constexpr NodeId kSite = 2;
constexpr NodeId kOther = 3;

at::Tensor feature(float value) { return at::full({1, 1, 2, 2}, value); }

TEST(RepeatedCall, OnOtherMemoryItInheritsWhatLiesThere) {
  const CallFeatures call({"cond"}, {kSite}, {{kSite, feature(1)}}, {{kOther, {2, 2}}});
  const CallFeatures captured = call.on({{kSite, feature(5)}});
  EXPECT_TRUE(at::equal(captured.inherited(kSite), feature(5)));
  EXPECT_EQ(captured.keys(), call.keys());
  EXPECT_EQ(captured.wanted_nodes(), call.wanted_nodes());
  EXPECT_EQ(captured.entered(), call.entered());
}

TEST(RepeatedCall, BooksWhatTheCapturedOneDidUnderItsOwnKeys) {
  CallFeatures captured({"uncond"}, {kSite}, {});
  ASSERT_TRUE(captured.enter(kSite, {2, 2}));
  captured.computed(kSite, feature(1));
  captured.computed(kOther, feature(1));
  CallFeatures call({"cond"}, {kSite}, {});
  call.repeat(captured, {{kSite, feature(7)}});
  EXPECT_EQ(call.keys(), std::vector<std::string>{"cond"});
  EXPECT_EQ(call.computed_nodes(), (Nodes{kSite, kOther}));
  EXPECT_EQ(call.entered(), captured.entered());
  EXPECT_TRUE(at::equal(call.chunk_features(0).at(kSite), feature(7)));
}

TEST(RepeatedCall, InheritsOnlyWhereTheCapturedOneDid) {
  const auto inheriting = [] { return CallFeatures({"cond"}, {kSite}, {{kSite, feature(1)}}); };
  CallFeatures captured = inheriting();
  captured.used(kSite);
  CallFeatures call = inheriting();
  call.repeat(captured, {});
  EXPECT_TRUE(call.inherits());
  EXPECT_EQ(call.used_nodes(), Nodes{kSite});

  captured.abandon_inheritance("feature shape changed");
  captured.computed(kSite, feature(2));
  call.repeat(captured, captured.kept_values());
  EXPECT_FALSE(call.inherits());
  EXPECT_EQ(call.abandoned(), "feature shape changed");
  EXPECT_EQ(call.used_nodes(), Nodes{});
  EXPECT_EQ(call.computed_nodes(), Nodes{kSite});
}

}  // namespace
}  // namespace asdm
