// ASDMNativeUNet: the same MODEL, its UNet computed by the native engine.
#include "nodes/factories.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

class NativeUNet final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMNativeUNet";
    schema.display_name = "ASDM Native UNet (exact, faster)";
    schema.description =
        "Runs the UNet of any SD1.x, SD2.x or SDXL MODEL in the native engine. Exact: the output equals the host's "
        "within floating-point noise; what the engine does not know runs in the host's own code, and the log says so.";
    schema.search_aliases = {"fast", "faster",     "speed",    "exact",      "engine",
                             "cpp",  "accelerate", "optimize", "sdxl faster"};
    schema.tells_runs = true;
    schema.inputs = {
        linked_input("model", Kind::kModel, "MODEL with a Stable Diffusion UNet; LoRA and patches stay in force."),
        combo_input("compute_dtype", {"auto", "fp32", "bf16", "fp16"},
                    "Precision the engine computes in. auto: as the host would, so that results agree; bf16 and fp16 "
                    "trade exactness for speed."),
    };
    schema.outputs = {{"MODEL", Kind::kModel, "A clone of the model that runs in the native engine."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Handle& model = inputs.handle("model");
    require_unet(host, model, inputs.where("model"));
    return {.outputs = {host.with_native_engine(model, inputs.text("compute_dtype"))}};
  }
};

}  // namespace

std::unique_ptr<Node> make_native_unet() { return std::make_unique<NativeUNet>(); }

}  // namespace asdm::nodes
