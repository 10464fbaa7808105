#include <gtest/gtest.h>

#include "nodes/registry.h"
#include "tests/native/error_of.h"
#include "tests/native/recording_host.h"

namespace asdm::nodes {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::label_of;
using testing::named;
using testing::RecordingHost;

TEST(SwitchUNets, AsksForTheShareOfThePercent) {
  RecordingHost host;
  const Result result =
      find_node("ASDMSwitchUNets")
          .execute(host, {{"model", named("late")}, {"early_model", named("early")}, {"switch_percent", 25.0}});
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "early>late");
  EXPECT_EQ(host.calls, std::vector<std::string>{"with_early_unet 0.250000"});
}

TEST(SwitchUNets, RefusesOtherModels) {
  RecordingHost host;
  host.description = {"Flux", std::nullopt, "a transformer, no UNet"};
  expect_contains(
      error_of([&] {
        return find_node("ASDMSwitchUNets").execute(host, {{"model", named("a")}, {"early_model", named("b")}});
      }),
      "ASDMSwitchUNets.model: expected the UNet of");
}

}  // namespace
}  // namespace asdm::nodes
