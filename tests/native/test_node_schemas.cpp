#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "nodes/registry.h"
#include "nodes/schema_json.h"
#include "tests/native/error_of.h"

namespace asdm::nodes {
namespace {

TEST(NodeSchemas, EverythingIsDocumentedAndNoIdAppearsTwice) {
  std::set<std::string> ids;
  for (const auto& node : all_nodes()) {
    const NodeSchema schema = node->schema();
    SCOPED_TRACE(schema.id);
    EXPECT_TRUE(ids.insert(schema.id).second);
    EXPECT_TRUE(schema.category == "ASDM" || schema.category.starts_with("ASDM/")) << schema.category;
    EXPECT_FALSE(schema.search_aliases.empty());
    EXPECT_FALSE(schema.display_name.empty());
    EXPECT_FALSE(schema.description.empty());
    EXPECT_FALSE(schema.outputs.empty());
    std::set<std::string> names;
    for (const InputSchema& input : schema.inputs) {
      EXPECT_FALSE(input.tooltip.empty()) << input.name;
      EXPECT_TRUE(names.insert(input.name).second) << input.name;
      EXPECT_EQ(input.range.has_value(), input.kind == Kind::kInt || input.kind == Kind::kFloat) << input.name;
    }
    for (const InputSchema& input : schema.inputs) {
      for (const WidgetCondition& condition : input.used_when) {
        EXPECT_TRUE(names.contains(condition.input)) << input.name;
        EXPECT_NE(condition.input, input.name);
        EXPECT_FALSE(condition.values.empty()) << input.name;
        EXPECT_TRUE(condition.modes.empty() || names.contains("mode")) << input.name;
      }
    }
    for (const OutputSchema& output : schema.outputs) {
      EXPECT_FALSE(output.tooltip.empty()) << output.name;
    }
  }
}

TEST(NodeSchemas, UnknownIdsListTheKnown) {
  testing::expect_contains(testing::error_of([] { return find_node("Nothing").schema(); }),
                           "node: expected one of: ASDMLoadUNet, ASDMNativeUNet");
}

TEST(NodeSchemas, TooltipsSayTheDefaultAndWhenAnInputCounts) {
  const auto json = nlohmann::json::parse(schemas_json());
  const auto& inherit = json.at("nodes").at(2).at("inputs");
  const auto tooltip = [&](size_t index) { return inherit.at(index).at("tooltip").get<std::string>(); };
  EXPECT_TRUE(tooltip(4).ends_with(
      " Default: 3. Ignored in modes front, triangular, explicit, adaptive, easycache. Only with full_evaluations "
      "0 or mode growing or growing_published. Only with speed custom."))
      << tooltip(4);
  EXPECT_EQ(inherit.at(4).at("used_when").at(1),
            nlohmann::json({{"full_evaluations", {"0"}}, {"mode", {"growing", "growing_published"}}}));
  EXPECT_TRUE(tooltip(10).ends_with(" Default: 0.1. Only with mode adaptive or easycache. Only with speed custom."))
      << tooltip(10);
  EXPECT_TRUE(tooltip(11).ends_with(" Only with mode explicit. Only with speed custom.")) << tooltip(11);
  EXPECT_EQ(inherit.at(11).at("used_when"),
            nlohmann::json::parse(R"([{"mode": ["explicit"]}, {"speed": ["custom"]}])"));
  EXPECT_TRUE(inherit.at(11).at("folded").get<bool>());
  EXPECT_FALSE(inherit.at(4).contains("folded"));
  EXPECT_FALSE(inherit.at(15).contains("used_when")) << "the dial itself always counts";
  const auto wrapped = json.at("nodes").at(5).at("inputs").at(5);
  EXPECT_TRUE(wrapped.at("tooltip").get<std::string>().ends_with(" Only where plan is empty."))
      << wrapped.at("tooltip");
}

TEST(NodeSchemas, JsonOfOneInputOfEachKind) {
  const auto json = nlohmann::json::parse(schemas_json());
  const auto& load = json.at("nodes").at(0).at("inputs");
  EXPECT_EQ(load.at(0).at("choices_folder"), "diffusion_models");
  EXPECT_FALSE(load.at(0).contains("default"));
  EXPECT_EQ(load.at(1).at("choices"), nlohmann::json({"default", "fp32", "bf16", "fp16"}));
  EXPECT_EQ(load.at(1).at("default"), "default");
  const auto& inherit = json.at("nodes").at(2).at("inputs");
  EXPECT_EQ(inherit.at(0).at("kind"), "MODEL");
  EXPECT_EQ(inherit.at(2).at("default"), "auto");
  EXPECT_EQ(inherit.at(4).at("min").dump(), "1");
  EXPECT_EQ(inherit.at(4).at("default").dump(), "3");
  EXPECT_EQ(inherit.at(6).at("max").dump(), "1.0");
  EXPECT_FALSE(inherit.at(9).contains("optional"));
  EXPECT_TRUE(inherit.at(10).at("optional").get<bool>());
  EXPECT_FALSE(inherit.at(4).contains("control_after_generate"));
  EXPECT_FALSE(json.at("nodes").at(4).at("inputs").at(4).at("control_after_generate").get<bool>());  // a seed
  const auto& plan = json.at("nodes").at(3).at("inputs").at(1);
  EXPECT_TRUE(plan.at("multiline").get<bool>());
  EXPECT_EQ(json.at("nodes").at(5).at("inputs").at(0).at("kind"), "SAMPLER");
  EXPECT_TRUE(json.at("nodes").at(7).at("is_output_node").get<bool>());
}

}  // namespace
}  // namespace asdm::nodes
