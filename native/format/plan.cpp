#include "native/format/plan.h"

#include <unordered_set>
#include <utility>

#include "native/base/error.h"
#include "native/format/choices.h"
#include "native/format/strict_json.h"
#include "native/format/unet_spec.h"

namespace asdm {
namespace {

constexpr std::string_view kPlanFormat = "asdm.plan";
constexpr int64_t kPlanVersion = 1;
constexpr size_t kMaxPlanBytes = 16'000'000;  // a thousand evaluations that name every unit of SDXL

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Family family : kFamilies) {
    names.emplace_back(to_string(family));
  }
  return names;
}

std::string element(const std::string& list, size_t index) { return list + "[" + std::to_string(index) + "]"; }

const nlohmann::json& read_list(const nlohmann::json& json, const std::string& at) {
  if (!json.is_array()) {
    throw invalid_input(at, "a list", describe_json(json));
  }
  return json;
}

double read_sigma(const nlohmann::json& json, const std::string& at) {
  // JSON has no infinity and no NaN, so a number is a finite one.
  if (!json.is_number() || json.get<double>() < 0.0) {
    throw invalid_input(at, "a number from 0", describe_json(json));
  }
  return json.get<double>();
}

PlanEvaluation read_evaluation(const nlohmann::json& json, const std::string& at) {
  check_keys(json, at, {"sigma", "sites"});
  PlanEvaluation evaluation{read_sigma(json.at("sigma"), at + ".sigma"), {}};
  const std::string list = at + ".sites";
  std::unordered_set<std::string> seen;
  for (const nlohmann::json& item : read_list(json.at("sites"), list)) {
    const std::string where = element(list, evaluation.sites.size());
    std::string site = read_string(item, where);
    if (site.empty() || site.find_first_of(" \t\r\n,;") != std::string::npos) {
      throw invalid_input(where, "one address, such as out.8", describe_json(item));
    }
    if (!seen.insert(site).second) {
      throw invalid_input(where, "every address once", "'" + site + "' twice");
    }
    evaluation.sites.push_back(std::move(site));
  }
  return evaluation;
}

}  // namespace

std::string to_json(const Plan& plan) {
  nlohmann::ordered_json head;
  head["format"] = std::string(kPlanFormat);
  head["version"] = kPlanVersion;
  head["family"] = plan.family;
  head["steps"] = plan.steps;
  head["value"] = plan.value;
  head["storage"] = plan.storage;
  std::string text = "{\n";
  for (const auto& item : head.items()) {
    text += "  \"" + item.key() + "\": " + item.value().dump() + ",\n";
  }
  text += "  \"evaluations\": [";
  const char* separator = "\n    ";
  for (const PlanEvaluation& evaluation : plan.evaluations) {
    const nlohmann::json sites = evaluation.sites;
    text += separator;
    text += "{\"sigma\": " + nlohmann::json(evaluation.sigma).dump() + ", \"sites\": " + sites.dump() + "}";
    separator = ",\n    ";
  }
  return text + "\n  ]\n}\n";
}

Plan plan_from_json(std::string_view json) {
  if (json.size() > kMaxPlanBytes) {
    throw invalid_input("plan", "at most " + std::to_string(kMaxPlanBytes) + " bytes", std::to_string(json.size()));
  }
  const nlohmann::json parsed = parse_json_object(json, "plan");
  check_header(parsed, "plan", kPlanFormat, kPlanVersion);
  check_keys(parsed, "plan", {"format", "version", "family", "steps", "value", "storage", "evaluations"});
  Plan plan;
  plan.family = family_names()[read_name(parsed.at("family"), "plan.family", family_names())];
  plan.steps = read_integer(parsed.at("steps"), "plan.steps");
  if (plan.steps < 1) {
    throw invalid_input("plan.steps", "an integer from 1", std::to_string(plan.steps));
  }
  plan.value = value_form_names()[read_name(parsed.at("value"), "plan.value", value_form_names())];
  plan.storage = storage_names()[read_name(parsed.at("storage"), "plan.storage", storage_names())];
  for (const nlohmann::json& item : read_list(parsed.at("evaluations"), "plan.evaluations")) {
    plan.evaluations.push_back(read_evaluation(item, element("plan.evaluations", plan.evaluations.size())));
  }
  if (plan.evaluations.empty()) {
    throw invalid_input("plan.evaluations", "at least one evaluation", "none");
  }
  return plan;
}

}  // namespace asdm
