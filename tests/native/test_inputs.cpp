#include <gtest/gtest.h>

#include "nodes/inputs.h"
#include "tests/native/error_of.h"
#include "tests/native/recording_host.h"

namespace asdm::nodes {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::named;

NodeSchema schema() {
  NodeSchema node;
  node.id = "Node";
  node.inputs = {linked_input("model", Kind::kModel, "m"), string_input("text", "t", "t"),
                 int_input("count", 2, {1, 3, 1}, "c"), float_input("share", 0.5, {0.0, 1.0, 0.1}, "s"),
                 combo_input("mode", {"a", "b"}, "m")};
  return node;
}

TEST(Inputs, FillsInDefaults) {
  const Inputs inputs(schema(), {{"model", named("m")}});
  EXPECT_EQ(inputs.text("text"), "t");
  EXPECT_EQ(inputs.integer("count"), 2);
  EXPECT_EQ(inputs.number("share"), 0.5);
  EXPECT_EQ(inputs.text("mode"), "a");
  EXPECT_EQ(inputs.where("mode"), "Node.mode");
}

TEST(Inputs, AnIntegerServesAsAFloatButNothingElseIsConverted) {
  EXPECT_EQ(Inputs(schema(), {{"model", named("m")}, {"share", int64_t{1}}}).number("share"), 1.0);
  const auto with = [](const std::string& name, Value value) {
    return [=] {
      std::map<std::string, Value> values = {{"model", named("m")}};
      values[name] = value;
      return Inputs(schema(), values);
    };
  };
  expect_contains(error_of(with("count", true)), "Node.count: expected INT, got true");
  expect_contains(error_of(with("count", std::string("2"))), "Node.count: expected INT, got the text '2'");
  expect_contains(error_of(with("text", int64_t{1})), "Node.text: expected STRING, got 1");
  expect_contains(error_of(with("share", testing::named("image"))),
                  "Node.share: expected FLOAT, got an object of the host");
  expect_contains(error_of(with("model", Handle())), "Node.model: expected MODEL, got nothing");
}

TEST(Inputs, AskingForWhatTheSchemaLacksIsTheFaultOfThePack) {
  const Inputs inputs(schema(), {{"model", named("m")}});
  expect_contains(error_of([&] { return inputs.text("nothing"); }), "internal fault");
  expect_contains(error_of([&] { return inputs.text("count"); }), "internal fault");
}

}  // namespace
}  // namespace asdm::nodes
