#include "nodes/schema_json.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "native/base/error.h"
#include "native/base/words.h"
#include "native/format/choices.h"
#include "nodes/registry.h"

namespace asdm::nodes {
namespace {

using Json = nlohmann::ordered_json;

/// INT limits are written as integers: the front end takes the widget's number format from them.
Json number(Kind kind, double value) { return kind == Kind::kInt ? Json(static_cast<int64_t>(value)) : Json(value); }

std::string default_text(const InputSchema& input) {
  if (const auto* integer = std::get_if<int64_t>(&input.default_value)) {
    return std::to_string(*integer);
  }
  if (const auto* real = std::get_if<double>(&input.default_value)) {
    return number_text(*real);
  }
  const auto* text = std::get_if<std::string>(&input.default_value);
  return text == nullptr ? "" : *text;
}

/// "Only with sites auto.", "Ignored in modes front, triangular.", "Only with full_evaluations 0 or mode growing."
std::string condition_text(const WidgetCondition& condition) {
  if (condition.values == std::vector<std::string>{""}) {
    return "Only where " + condition.input + " is empty.";
  }
  if (condition.input == "mode") {
    const std::vector<std::string> all = time_step_mode_names();
    std::vector<std::string> others;
    std::copy_if(all.begin(), all.end(), std::back_inserter(others), [&](const std::string& mode) {
      return std::find(condition.values.begin(), condition.values.end(), mode) == condition.values.end();
    });
    if (others.size() < condition.values.size()) {
      return "Ignored in modes " + join(others) + ".";
    }
  }
  const std::string anyhow = condition.modes.empty() ? "" : " or mode " + join(condition.modes, " or ");
  return "Only with " + condition.input + " " + join(condition.values, " or ") + anyhow + ".";
}

/// What the node says of it, its default, and when it counts.
std::string tooltip_of(const InputSchema& input) {
  std::string text = input.tooltip;
  if (const std::string given = default_text(input); !given.empty()) {
    text.append(" Default: ").append(given).append(".");
  }
  for (const WidgetCondition& condition : input.used_when) {
    text.append(" ").append(condition_text(condition));
  }
  return text;
}

Json input_json(const InputSchema& input) {
  Json json;
  json["name"] = input.name;
  json["kind"] = std::string(to_string(input.kind));
  json["tooltip"] = tooltip_of(input);
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
  if (input.checked_early) {
    json["checked_early"] = true;
  }
  if (input.folded) {
    json["folded"] = true;
  }
  for (const WidgetCondition& condition : input.used_when) {
    Json any = {{condition.input, condition.values}};
    if (!condition.modes.empty()) {
      any["mode"] = condition.modes;
    }
    json["used_when"].push_back(std::move(any));
  }
  return json;
}

Json node_json(const NodeSchema& schema) {
  Json json;
  json["id"] = schema.id;
  json["display_name"] = schema.display_name;
  json["category"] = schema.category;
  json["description"] = schema.description;
  json["search_aliases"] = schema.search_aliases;
  json["is_output_node"] = schema.is_output_node;
  json["is_experimental"] = schema.is_experimental;
  json["tells_runs"] = schema.tells_runs;
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

/// A line for each property, input and output, so that a change of one is a change of one line.
std::string node_text(const NodeSchema& schema) {
  const Json json = node_json(schema);
  std::string text;
  for (const auto& [key, value] : json.items()) {
    text.append(text.empty() ? "{" : ",\n ").append(Json(key).dump()).append(": ");
    const bool has_rows = value.is_array() && !value.empty() && value.front().is_object();
    if (!has_rows) {
      text.append(value.dump());
      continue;
    }
    std::string rows;
    for (const Json& row : value) {
      rows.append(rows.empty() ? "" : ",\n  ").append(row.dump());
    }
    text.append("[\n  ").append(rows).append("]");
  }
  return text + "}";
}

}  // namespace

std::string schemas_json() {
  std::string text;
  for (const std::unique_ptr<Node>& node : all_nodes()) {
    text.append(text.empty() ? "" : ",\n").append(node_text(node->schema()));
  }
  return "{\"nodes\": [\n" + text + "\n]}\n";
}

}  // namespace asdm::nodes
