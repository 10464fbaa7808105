// What a node shows to the world: its inputs, outputs and their documentation. Knows nothing of how a node runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace asdm::nodes {

enum class Kind { kModel, kLatent, kConditioning, kSampler, kImage, kString, kInt, kFloat, kCombo };

/// The host's name of the kind: "MODEL", "LATENT", "CONDITIONING", "SAMPLER", "IMAGE", "STRING", "INT", "FLOAT",
/// "COMBO".
[[nodiscard]] std::string_view to_string(Kind kind);

/// Limits of an INT or FLOAT input, both ends included.
struct Range {
  double min = 0.0;
  double max = 0.0;
  double step = 1.0;  ///< of the widget's arrows
};

/// A condition on another input of the node, a widget: its value is one of these, as texts.
struct WidgetCondition {
  std::string input;
  std::vector<std::string> values;
  std::vector<std::string> modes = {};  ///< values of the input "mode" with which it holds anyhow
};

struct InputSchema {
  std::string name;  ///< a contract: shared workflows depend on it
  Kind kind = Kind::kString;
  std::string tooltip;
  std::variant<std::monostate, int64_t, double, std::string> default_value;  ///< monostate: must be given
  std::optional<Range> range;                                                ///< INT and FLOAT only
  std::vector<std::string> choices;                                          ///< COMBO with fixed choices
  std::string choices_folder;  ///< COMBO whose choices are the host's model files of this folder; else empty
  std::string choices_list;    ///< COMBO whose choices are the host's "samplers" or "schedulers"; else empty
  bool multiline = false;      ///< STRING only
  bool keeps_value = false;  ///< INT only: the front end is not to change it after a run, as it does by the name "seed"
  std::string when_missing;  ///< COMBO only: what a graph saved before there was this input means; empty: the default
  bool optional = false;     ///< may be left out even without a default: workflows older than it stay valid
  bool checked_early = false;  ///< Node::check() looks at it: it may be wrong beside others, or by itself
  bool folded = false;  ///< the front end shows it when it is asked for, or where it has another value than its default
  std::vector<WidgetCondition> used_when;  ///< the node reads the value where all of these hold
};

struct OutputSchema {
  std::string name;
  Kind kind = Kind::kString;
  std::string tooltip;
};

struct NodeSchema {
  std::string id;  ///< a contract, as input names are
  std::string display_name;
  std::string category = "ASDM";  ///< the menu: "ASDM", or a folder of it
  std::string description;
  std::vector<std::string> search_aliases = {};  ///< what people type who look for such a node
  std::vector<InputSchema> inputs;
  std::vector<OutputSchema> outputs;
  bool is_experimental = false;  ///< of research: the host marks it
  bool tells_runs = false;       ///< shows what runs with its settings gained
  bool is_output_node = false;   ///< runs even when nothing uses its outputs
};

/// A linked input without a widget (MODEL, LATENT, CONDITIONING, SAMPLER, IMAGE).
[[nodiscard]] InputSchema linked_input(std::string name, Kind kind, std::string tooltip);
[[nodiscard]] InputSchema string_input(std::string name, std::string default_value, std::string tooltip);
/// A STRING edited in a box of several lines.
[[nodiscard]] InputSchema text_input(std::string name, std::string default_value, std::string tooltip);
[[nodiscard]] InputSchema int_input(std::string name, int64_t default_value, Range range, std::string tooltip);
/// "seed", 0 to `most`. Stays as it is, since a node that has it takes long and another seed makes it run again.
[[nodiscard]] InputSchema seed_input(int64_t most, std::string tooltip);
[[nodiscard]] InputSchema float_input(std::string name, double default_value, Range range, std::string tooltip);
/// The first choice is the default.
[[nodiscard]] InputSchema combo_input(std::string name, std::vector<std::string> choices, std::string tooltip);
/// Choices are the host's model files of `folder`.
[[nodiscard]] InputSchema model_file_input(std::string name, std::string folder, std::string tooltip);
/// Choices are the host's `list`: "samplers" or "schedulers".
[[nodiscard]] InputSchema host_list_input(std::string name, std::string list, std::string tooltip);

}  // namespace asdm::nodes
