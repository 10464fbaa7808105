// ASDMFeatureInheritance: evaluations between full ones take stored features instead of computing them.
#include "native/base/error.h"
#include "nodes/factories.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

constexpr Range kIntervalRange{1, 1000, 1};
constexpr Range kCountRange{0, 10000, 1};
constexpr Range kPercentRange{0.0, 1.0, 0.01};

std::vector<InputSchema> make_inputs() {
  return {
      linked_input("model", Kind::kModel,
                   "MODEL with a Stable Diffusion UNet. The native engine is installed where it is missing."),
      combo_input("level", {"block"}, "What is stored and reused: whole UNet blocks."),
      string_input("sites", "auto",
                   "Where features are inherited. auto: the pack's choice for this UNet; or addresses of blocks "
                   "separated by commas, such as out.8. Everything only needed below a site is not computed."),
      combo_input("mode", {"uniform"}, "When the UNet is computed in full. uniform: at every interval-th evaluation."),
      int_input("interval", 3, kIntervalRange,
                "Every interval-th evaluation is full, the others inherit. 1 inherits nothing; 2 or 3 stay close to "
                "the exact picture; more is faster and drifts further."),
      int_input("full_evaluations", 0, kCountRange,
                "How many evaluations in the window are full, spread evenly. 0: taken from interval."),
      float_input("start_percent", 0.0, kPercentRange,
                  "Where in the run inheriting begins, as a share of its evaluations (0 to 1)."),
      float_input("end_percent", 1.0, kPercentRange,
                  "Where in the run inheriting ends, as a share of its evaluations (0 to 1). Must lie above "
                  "start_percent."),
      combo_input("value", {"hold"}, "What stands in for a feature that is not computed. hold: its last value."),
      int_input("max_age", 0, kCountRange,
                "Oldest feature, in evaluations, that may still be inherited; an older one forces a full evaluation. "
                "0: no limit."),
  };
}

InheritanceOptions read_options(const Inputs& inputs) {
  InheritanceOptions options;
  options.level = inputs.text("level");
  options.sites = inputs.text("sites");
  options.mode = inputs.text("mode");
  options.interval = inputs.integer("interval");
  options.full_evaluations = inputs.integer("full_evaluations");
  options.start_percent = inputs.number("start_percent");
  options.end_percent = inputs.number("end_percent");
  options.value = inputs.text("value");
  options.max_age = inputs.integer("max_age");
  if (options.sites.find_first_not_of(" \t\r\n,") == std::string::npos) {
    throw invalid_input(inputs.where("sites"), "'auto' or addresses of blocks such as 'out.8'", "an empty text");
  }
  if (options.start_percent >= options.end_percent) {
    throw invalid_input(inputs.where("end_percent"),
                        "a number above start_percent (" + std::to_string(options.start_percent) + ")",
                        std::to_string(options.end_percent));
  }
  return options;
}

class FeatureInheritance final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMFeatureInheritance";
    schema.display_name = "ASDM Feature Inheritance";
    schema.description =
        "Samples faster: most evaluations of the UNet reuse deep features of an earlier one and compute only the "
        "shallow rest. The picture changes slightly; ASDM Compare Images measures by how much, ASDM Report by how "
        "much faster.";
    schema.inputs = make_inputs();
    schema.outputs = {{"MODEL", Kind::kModel, "A clone of the model that inherits features while it samples."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const InheritanceOptions options = read_options(inputs);
    const Handle& model = inputs.handle("model");
    require_unet(host, model, inputs.where("model"));
    return {{host.with_inheritance(model, options)}, std::nullopt};
  }
};

}  // namespace

std::unique_ptr<Node> make_feature_inheritance() { return std::make_unique<FeatureInheritance>(); }

}  // namespace asdm::nodes
