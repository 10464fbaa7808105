// ASDMWrapSampler: feature inheritance carried by a SAMPLER instead of a MODEL.
#include "nodes/factories.h"
#include "nodes/inheritance_inputs.h"

namespace asdm::nodes {
namespace {

class WrapSampler final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMWrapSampler";
    schema.display_name = "ASDM Wrap Sampler";
    schema.description =
        "A sampler that brings feature inheritance to whatever model it meets, for graphs with SamplerCustom. The same "
        "as ASDM Feature Inheritance or ASDM Apply Plan on the model: the pictures are equal.";
    schema.inputs = inheritance_inputs();
    const std::vector<InputSchema> own = {
        linked_input("sampler", Kind::kSampler,
                     "SAMPLER from any node. Its steps stay as they are; for the time of a run the UNet of the model "
                     "inherits. Where the model carries an inheritance of its own, that of the sampler wins."),
        text_input("plan", "", "JSON of a plan to follow instead of the settings below; empty: the settings count."),
    };
    schema.inputs.insert(schema.inputs.begin(), own.begin(), own.end());
    schema.outputs = {{"SAMPLER", Kind::kSampler, "A sampler that inherits features while it samples."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const bool planned = inputs.text("plan").find_first_not_of(" \t\r\n") != std::string::npos;
    const Inheritance inheritance =
        planned ? Inheritance(read_plan(inputs, "plan")) : Inheritance(read_inheritance(inputs));
    const std::string where = planned ? inputs.where("plan") : inputs.node_id();
    return {.outputs = {host.wrap_sampler(inputs.handle("sampler"), inheritance, where)}};
  }
};

}  // namespace

std::unique_ptr<Node> make_wrap_sampler() { return std::make_unique<WrapSampler>(); }

}  // namespace asdm::nodes
