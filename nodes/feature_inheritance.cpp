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
    schema.display_name = "ASDM Feature Inheritance";
    schema.description =
        "Samples faster: most evaluations of the UNet reuse features of earlier ones and compute only the rest. The "
        "picture changes slightly; ASDM Compare Images measures by how much, ASDM Report by how much faster.";
    schema.inputs = inheritance_inputs();
    schema.inputs.insert(
        schema.inputs.begin(),
        linked_input("model", Kind::kModel,
                     "MODEL with a Stable Diffusion UNet. The native engine is installed where it is missing."));
    schema.outputs = {{"MODEL", Kind::kModel, "A clone of the model that inherits features while it samples."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const InheritanceRequest request = read_inheritance(inputs);
    const Handle& model = inputs.handle("model");
    require_unet(host, model, inputs.where("model"));
    return {.outputs = {host.with_inheritance(model, request, inputs.node_id())}};
  }
};

}  // namespace

std::unique_ptr<Node> make_feature_inheritance() { return std::make_unique<FeatureInheritance>(); }

}  // namespace asdm::nodes
