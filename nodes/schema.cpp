#include "nodes/schema.h"

#include <utility>

#include "native/base/error.h"

namespace asdm::nodes {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kModel:
      return "MODEL";
    case Kind::kLatent:
      return "LATENT";
    case Kind::kConditioning:
      return "CONDITIONING";
    case Kind::kSampler:
      return "SAMPLER";
    case Kind::kImage:
      return "IMAGE";
    case Kind::kString:
      return "STRING";
    case Kind::kInt:
      return "INT";
    case Kind::kFloat:
      return "FLOAT";
    case Kind::kCombo:
      return "COMBO";
  }
  throw internal_fault("nodes::Kind", "an enumerator without a name");
}

InputSchema linked_input(std::string name, Kind kind, std::string tooltip) {
  InputSchema input;
  input.name = std::move(name);
  input.kind = kind;
  input.tooltip = std::move(tooltip);
  return input;
}

InputSchema string_input(std::string name, std::string default_value, std::string tooltip) {
  InputSchema input = linked_input(std::move(name), Kind::kString, std::move(tooltip));
  input.default_value = std::move(default_value);
  return input;
}

InputSchema text_input(std::string name, std::string default_value, std::string tooltip) {
  InputSchema input = string_input(std::move(name), std::move(default_value), std::move(tooltip));
  input.multiline = true;
  return input;
}

InputSchema int_input(std::string name, int64_t default_value, Range range, std::string tooltip) {
  InputSchema input = linked_input(std::move(name), Kind::kInt, std::move(tooltip));
  input.default_value = default_value;
  input.range = range;
  return input;
}

InputSchema seed_input(int64_t most, std::string tooltip) {
  InputSchema input = int_input("seed", 0, {0, static_cast<double>(most), 1}, std::move(tooltip));
  input.keeps_value = true;
  return input;
}

InputSchema float_input(std::string name, double default_value, Range range, std::string tooltip) {
  InputSchema input = linked_input(std::move(name), Kind::kFloat, std::move(tooltip));
  input.default_value = default_value;
  input.range = range;
  return input;
}

InputSchema combo_input(std::string name, std::vector<std::string> choices, std::string tooltip) {
  InputSchema input = linked_input(std::move(name), Kind::kCombo, std::move(tooltip));
  input.default_value = choices.at(0);
  input.choices = std::move(choices);
  return input;
}

InputSchema model_file_input(std::string name, std::string folder, std::string tooltip) {
  InputSchema input = linked_input(std::move(name), Kind::kCombo, std::move(tooltip));
  input.choices_folder = std::move(folder);
  return input;
}

InputSchema host_list_input(std::string name, std::string list, std::string tooltip) {
  InputSchema input = linked_input(std::move(name), Kind::kCombo, std::move(tooltip));
  input.choices_list = std::move(list);
  return input;
}

}  // namespace asdm::nodes
