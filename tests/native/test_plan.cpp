#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "native/format/choices.h"
#include "native/format/plan.h"
#include "native/format/unet_spec.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

const std::string kText =
    "{\n"
    "  \"format\": \"asdm.plan\",\n"
    "  \"version\": 1,\n"
    "  \"family\": \"sdxl\",\n"
    "  \"steps\": 3,\n"
    "  \"value\": \"taylor1\",\n"
    "  \"storage\": \"bf16\",\n"
    "  \"evaluations\": [\n"
    "    {\"sigma\": 14.5, \"sites\": []},\n"
    "    {\"sigma\": 3.25, \"sites\": [\"out.2\",\"in.4.attn.0.attn1\"]},\n"
    "    {\"sigma\": 0.0, \"sites\": [\"out\"]}\n"
    "  ]\n"
    "}\n";

Plan plan() {
  return {"sdxl", 3, "taylor1", "bf16", {{14.5, {}}, {3.25, {"out.2", "in.4.attn.0.attn1"}}, {0.0, {"out"}}}};
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = kText;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Plan, WritesTheDocumentedText) { EXPECT_EQ(to_json(plan()), kText); }

TEST(Plan, ReadsWhatItWrites) { EXPECT_EQ(plan_from_json(kText), plan()); }

TEST(Plan, EverySigmaComesBackBitForBit) {
  Plan written = plan();
  written.evaluations[0].sigma = 0.1 + 0.2;
  written.evaluations[1].sigma = 14.614641189575195;
  EXPECT_EQ(plan_from_json(to_json(written)), written);
}

TEST(Plan, ErrorsNameThePath) {
  struct Row {
    std::string json;
    std::string message;
  };
  const std::vector<Row> rows = {
      {"", "plan: expected JSON, got"},
      {"[]", "plan: expected a JSON object, got a list"},
      {"{}", "plan.format: expected \"asdm.plan\", got no such key"},
      {with("\"version\": 1", "\"version\": 2"), "plan.version: expected 1 (another version needs another"},
      {with("\"steps\": 3,", ""),
       "plan: expected exactly the keys format, version, family, steps, value, storage, "
       "evaluations, got no key steps"},
      {with("\"steps\": 3", "\"steps\": 3, \"comment\": 1"), "got unknown key comment"},
      {with("\"steps\": 3", "\"steps\": 0"), "plan.steps: expected an integer from 1, got 0"},
      {with("\"steps\": 3", "\"steps\": 3.5"), "plan.steps: expected an integer, got 3.5"},
      {with("\"sdxl\"", "\"flux\""), "plan.family: expected one of: sd1, sd2, sdxl, sdxl_refiner, got 'flux'"},
      {with("\"taylor1\"", "\"guess\""), "plan.value: expected one of: hold, taylor1, taylor2, affine, got 'guess'"},
      {with("\"bf16\"", "8"), "plan.storage: expected a string, got 8"},
      {with("\"sigma\": 3.25", "\"sigma\": \"high\""), "plan.evaluations[1].sigma: expected a number from 0, got"},
      {with("\"sigma\": 3.25", "\"sigma\": -1"), "plan.evaluations[1].sigma: expected a number from 0, got -1"},
      {with("\"sigma\": 3.25", "\"sigma\": 1e999"), "plan: expected JSON, got"},
      {with("\"sigma\": 3.25, ", ""), "plan.evaluations[1]: expected exactly the keys sigma, sites, got no key sigma"},
      {with("\"sigma\": 3.25", "\"sigma\": 3.25, \"age\": 2"), "plan.evaluations[1]: expected exactly the keys sigma"},
      {with("{\"sigma\": 0.0, \"sites\": [\"out\"]}", "7"), "plan.evaluations[2]: expected an object, got 7"},
      {with("[\"out\"]", "\"out\""), "plan.evaluations[2].sites: expected a list, got \"out\""},
      {with("\"in.4.attn.0.attn1\"", "4"), "plan.evaluations[1].sites[1]: expected a string, got 4"},
      {with("\"in.4.attn.0.attn1\"", "\"\""), "plan.evaluations[1].sites[1]: expected one address"},
      {with("\"in.4.attn.0.attn1\"", "\"a, b\""), "plan.evaluations[1].sites[1]: expected one address"},
      {with("\"in.4.attn.0.attn1\"", "\"out.2\""),
       "plan.evaluations[1].sites[1]: expected every address once, got 'out.2' twice"},
      {with("\"in.4.attn.0.attn1\"", "[]"), "plan.evaluations[1].sites[1]: expected a string, got a list"},
      {with(kText.substr(kText.find("    {\"sigma\": 14.5")), "]}"),
       "plan.evaluations: expected at least one evaluation, got none"},
      {std::string(100000, '['), "nested at most 8 deep"},
      {kText + '\0', "plan: expected JSON, got a text with a byte of zero"},
      {kText + '\0' + "more", "plan: expected JSON, got a text with a byte of zero"},
  };
  for (const Row& row : rows) {
    expect_contains(error_of([&] { return plan_from_json(row.json); }), row.message);
  }
}

/// The keys of the object that `schema` describes, and that it allows no other.
std::vector<std::string> exact_keys(const nlohmann::json& schema) {
  EXPECT_FALSE(schema.at("additionalProperties").get<bool>());
  EXPECT_EQ(schema.at("required").size(), schema.at("properties").size());
  return schema.at("required").get<std::vector<std::string>>();
}

TEST(Plan, ThePublishedSchemaNamesTheSameKeysAndChoices) {
  std::ifstream file(ASDM_SOURCE_DIR "/docs/plan.schema.json");
  ASSERT_TRUE(file);
  const auto schema = nlohmann::json::parse(file);
  const auto written = nlohmann::ordered_json::parse(kText);
  const auto keys_of = [](const nlohmann::ordered_json& object) {
    std::vector<std::string> keys;
    for (const auto& item : object.items()) {
      keys.push_back(item.key());
    }
    return keys;
  };
  EXPECT_EQ(exact_keys(schema), keys_of(written));
  const auto& properties = schema.at("properties");
  EXPECT_EQ(exact_keys(properties.at("evaluations").at("items")), keys_of(written.at("evaluations").at(0)));
  EXPECT_EQ(properties.at("format").at("const"), written.at("format").get<std::string>());
  EXPECT_EQ(properties.at("version").at("const"), written.at("version").get<int64_t>());
  EXPECT_EQ(properties.at("value").at("enum"), nlohmann::json(value_form_names()));
  EXPECT_EQ(properties.at("storage").at("enum"), nlohmann::json(storage_names()));
  for (const std::string family : properties.at("family").at("enum")) {
    EXPECT_EQ(plan_from_json(with("\"sdxl\"", "\"" + family + "\"")).steps, 3) << family;
  }
  EXPECT_EQ(properties.at("family").at("enum").size(), kFamilies.size());
}

TEST(Plan, ManySitesAreReadInOneWalk) {
  std::string sites = "\"out.0\"";
  for (int i = 1; i < 200'000; ++i) {
    sites += ",\"out." + std::to_string(i) + "\"";
  }
  EXPECT_EQ(plan_from_json(with("\"out.2\",\"in.4.attn.0.attn1\"", sites)).evaluations[1].sites.size(), 200'000U);
  expect_contains(error_of([&] { return plan_from_json(std::string(16'000'001, ' ')); }),
                  "plan: expected at most 16000000 bytes, got 16000001");
}

TEST(Plan, MessagesAboutLongTextsAreShort) {
  const std::string message = error_of([] { return plan_from_json(with("taylor1", std::string(1'000'000, 'x'))); });
  expect_contains(message, "plan.value: expected one of");
  EXPECT_LT(message.size(), 10'000U);
}

}  // namespace
}  // namespace asdm
