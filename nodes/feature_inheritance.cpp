// ASDMFeatureInheritance: evaluations between full ones take stored features instead of computing them.
#include "nodes/factories.h"
#include "nodes/inheritance_inputs.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

class FeatureInheritance final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMFeatureInheritance";
    schema.display_name = "ASDM Faster SD/SDXL (DeepCache speed-up)";
    schema.description =
        "Samples faster: most evaluations of the UNet reuse features of earlier ones and compute only the rest. The "
        "picture changes slightly; ASDM Compare Images measures by how much, ASDM Report by how much faster.";
    schema.search_aliases = {
        "fast", "faster", "speed",    "accelerate",  "cache",      "deepcache", "teacache", "feature inheritance",
        "2x",   "turbo",  "optimize", "sdxl faster", "sd15 faster"};
    schema.tells_runs = true;
    schema.inputs = inheritance_inputs();
    schema.inputs.insert(
        schema.inputs.begin(),
        linked_input("model", Kind::kModel,
                     "MODEL with a Stable Diffusion UNet. The native engine is installed where it is missing."));
    schema.outputs = {{"MODEL", Kind::kModel, "A clone of the model that inherits features while it samples."}};
    return schema;
  }

 protected:
  [[nodiscard]] std::optional<Inheritance> inheritance_of(const Inputs& inputs) const override {
    return read_inheritance(inputs);
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Inheritance asked = *inheritance_of(inputs);
    const Handle& model = inputs.handle("model");
    require_unet(host, model, inputs.where("model"));
    return {.outputs = {host.with_inheritance(model, asked, inputs.node_id())}};
  }
};

}  // namespace

std::unique_ptr<Node> make_feature_inheritance() { return std::make_unique<FeatureInheritance>(); }

}  // namespace asdm::nodes
