#include "nodes/schema_json.h"

#include <nlohmann/json.hpp>

#include "nodes/registry.h"

namespace asdm::nodes {
namespace {

using Json = nlohmann::ordered_json;

/// INT limits are written as integers: the front end takes the widget's number format from them.
Json number(Kind kind, double value) { return kind == Kind::kInt ? Json(static_cast<int64_t>(value)) : Json(value); }

Json input_json(const InputSchema& input) {
  Json json;
  json["name"] = input.name;
  json["kind"] = std::string(to_string(input.kind));
  json["tooltip"] = input.tooltip;
  if (const auto* integer = std::get_if<int64_t>(&input.default_value)) {
    json["default"] = *integer;
  } else if (const auto* real = std::get_if<double>(&input.default_value)) {
    json["default"] = *real;
  } else if (const auto* text = std::get_if<std::string>(&input.default_value)) {
    json["default"] = *text;
  }
  if (input.range) {
    json["min"] = number(input.kind, input.range->min);
    json["max"] = number(input.kind, input.range->max);
    json["step"] = number(input.kind, input.range->step);
  }
  if (!input.choices.empty()) {
    json["choices"] = input.choices;
  }
  if (!input.choices_folder.empty()) {
    json["choices_folder"] = input.choices_folder;
  }
  if (!input.choices_list.empty()) {
    json["choices_list"] = input.choices_list;
  }
  if (input.multiline) {
    json["multiline"] = true;
  }
  if (input.keeps_value) {
    json["control_after_generate"] = false;
  }
  if (!input.when_missing.empty()) {
    json["when_missing"] = input.when_missing;
  }
  if (input.optional) {
    json["optional"] = true;
  }
  return json;
}

Json node_json(const NodeSchema& schema) {
  Json json;
  json["id"] = schema.id;
  json["display_name"] = schema.display_name;
  json["category"] = schema.category;
  json["description"] = schema.description;
  json["is_output_node"] = schema.is_output_node;
  json["inputs"] = Json::array();
  for (const InputSchema& input : schema.inputs) {
    json["inputs"].push_back(input_json(input));
  }
  json["outputs"] = Json::array();
  for (const OutputSchema& output : schema.outputs) {
    json["outputs"].push_back(
        {{"name", output.name}, {"kind", std::string(to_string(output.kind))}, {"tooltip", output.tooltip}});
  }
  return json;
}

}  // namespace

std::string schemas_json() {
  Json json;
  json["nodes"] = Json::array();
  for (const std::unique_ptr<Node>& node : all_nodes()) {
    json["nodes"].push_back(node_json(node->schema()));
  }
  return json.dump(2) + "\n";
}

}  // namespace asdm::nodes
