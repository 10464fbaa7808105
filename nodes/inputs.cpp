#include "nodes/inputs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "native/base/error.h"
#include "native/base/words.h"

namespace asdm::nodes {
namespace {

std::string describe(const Value& value) {
  struct Describer {
    std::string operator()(std::monostate) const { return "nothing"; }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(int64_t integer) const { return std::to_string(integer); }
    std::string operator()(double number) const { return number_text(number); }
    std::string operator()(const std::string& text) const { return "the text '" + text + "'"; }
    std::string operator()(const Handle& handle) const { return handle ? "an object of the host" : "nothing"; }
  };
  return std::visit(Describer{}, value);
}

bool has_kind(const Value& value, Kind kind) {
  switch (kind) {
    case Kind::kModel:
    case Kind::kLatent:
    case Kind::kConditioning:
    case Kind::kSampler:
    case Kind::kImage:
      return std::holds_alternative<Handle>(value) && std::get<Handle>(value) != nullptr;
    case Kind::kString:
    case Kind::kCombo:
      return std::holds_alternative<std::string>(value);
    case Kind::kInt:
      return std::holds_alternative<int64_t>(value);
    case Kind::kFloat:
      return std::holds_alternative<double>(value);
  }
  throw internal_fault("nodes::Kind", "an enumerator without a check");
}

Value default_of(const InputSchema& input) {
  return std::visit([](const auto& value) -> Value { return value; }, input.default_value);
}

void check_range(const std::string& where, double value, const Range& range) {
  if (!(value >= range.min && value <= range.max)) {  // so that NaN fails too
    throw invalid_input(where, "a number from " + number_text(range.min) + " to " + number_text(range.max),
                        number_text(value));
  }
}

void check_value(const std::string& where, const InputSchema& input, const Value& value) {
  if (!has_kind(value, input.kind)) {
    throw invalid_input(where, std::string(to_string(input.kind)), describe(value));
  }
  if (input.range && input.kind == Kind::kInt) {
    check_range(where, static_cast<double>(std::get<int64_t>(value)), *input.range);
  } else if (input.range) {
    check_range(where, std::get<double>(value), *input.range);
  }
  if (!input.choices.empty()) {
    const auto& chosen = std::get<std::string>(value);
    if (std::find(input.choices.begin(), input.choices.end(), chosen) == input.choices.end()) {
      throw unknown_name(where, chosen, input.choices);
    }
  }
}

void refuse_unknown(const NodeSchema& schema, const std::map<std::string, Value>& values) {
  std::vector<std::string> known;
  for (const InputSchema& input : schema.inputs) {
    known.push_back(input.name);
  }
  for (const auto& [name, value] : values) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw unknown_name(schema.id + " inputs", name, known);
    }
  }
}

}  // namespace

Inputs::Inputs(const NodeSchema& schema, std::map<std::string, Value> values, Part part)
    : node_id_(schema.id), values_(std::move(values)) {
  refuse_unknown(schema, values_);
  for (const InputSchema& input : schema.inputs) {
    if (part == Part::kWidgets && !values_.contains(input.name) &&
        std::holds_alternative<std::monostate>(input.default_value)) {
      continue;
    }
    Value& value = values_[input.name];
    if (std::holds_alternative<std::monostate>(value)) {
      value = input.when_missing.empty() ? default_of(input) : Value(input.when_missing);
    }
    // Python and JSON write 1 where a FLOAT may stand.
    if (input.kind == Kind::kFloat && std::holds_alternative<int64_t>(value)) {
      value = static_cast<double>(std::get<int64_t>(value));
    }
    if (!(input.optional && std::holds_alternative<std::monostate>(value))) {
      check_value(where(input.name), input, value);
    }
  }
}

std::string Inputs::where(const std::string& name) const { return node_id_ + "." + name; }

template <typename T>
const T& Inputs::get(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end() || !std::holds_alternative<T>(found->second)) {
    throw internal_fault(where(name), "the node asks for an input that its schema does not have in this kind");
  }
  return std::get<T>(found->second);
}

template const std::string& Inputs::get(const std::string& name) const;
template const int64_t& Inputs::get(const std::string& name) const;
template const double& Inputs::get(const std::string& name) const;
template const Handle& Inputs::get(const std::string& name) const;

const std::string& Inputs::text(const std::string& name) const { return get<std::string>(name); }
int64_t Inputs::integer(const std::string& name) const { return get<int64_t>(name); }
double Inputs::number(const std::string& name) const { return get<double>(name); }
const Handle& Inputs::handle(const std::string& name) const { return get<Handle>(name); }
Handle Inputs::optional_handle(const std::string& name) const {
  const auto found = values_.find(name);
  const bool missing = found != values_.end() && std::holds_alternative<std::monostate>(found->second);
  return missing ? nullptr : handle(name);
}

}  // namespace asdm::nodes
