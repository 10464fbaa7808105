// ASDMSwitchUNets: a smaller UNet makes the early, noisy part of a run.
#include "nodes/factories.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

class SwitchUNets final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMSwitchUNets";
    schema.display_name = "ASDM Switch UNets (small, full)";
    schema.description =
        "Samples with two UNets: a smaller one for the first, noisy part of the run, the full one for the rest. Each "
        "keeps its own LoRA, patches and inheritance. The result may be a model or early model of another such node.";
    schema.search_aliases = {"fast", "speed", "refiner", "early", "small unet"};
    schema.tells_runs = true;
    schema.inputs = {
        linked_input("model", Kind::kModel,
                     "MODEL of the later part. LoRA and inheritance added behind this node are "
                     "this one's alone."),
        linked_input("early_model", Kind::kModel,
                     "MODEL of the early part: same latent space, prediction type and channels, weights of its own."),
        float_input(
            "switch_percent", 50.0, {0.0, 100.0, 1.0},
            "Share of the steps of this run, in percent (0 to 100), that the early model makes, also for image-to-image "
            "and split samplers; moved to the nearest step. Higher is faster and drifts further."),
    };
    schema.outputs = {{"MODEL", Kind::kModel, "The model, with the early one in its first steps."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    for (const char* const name : {"model", "early_model"}) {
      require_unet(host, inputs.handle(name), inputs.where(name));
    }
    return {.outputs = {host.with_early_unet(inputs.handle("model"), inputs.handle("early_model"),
                                             inputs.number("switch_percent") / 100.0)}};
  }
};

}  // namespace

std::unique_ptr<Node> make_switch_unets() { return std::make_unique<SwitchUNets>(); }

}  // namespace asdm::nodes
