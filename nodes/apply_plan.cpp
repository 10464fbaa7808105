// ASDMApplyPlan: samples by a plan, such as a run recorded.
#include "nodes/factories.h"
#include "nodes/inheritance_inputs.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

class ApplyPlan final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMApplyPlan";
    schema.display_name = "ASDM Apply Plan";
    schema.description =
        "Samples by a plan: evaluation by evaluation, what is computed and what is inherited. Every run gives its plan "
        "to ASDM Report, and the same graph with that plan gives the same picture again, whatever decided the first "
        "time.";
    schema.inputs = {
        linked_input("model", Kind::kModel,
                     "MODEL with a Stable Diffusion UNet. The native engine is installed where it is missing; another "
                     "inheritance that the model carries gives way."),
        text_input("plan", "",
                   "JSON of a plan: the last output of ASDM Report, or the pictures' metadata. It is followed by "
                   "index; the report says where the schedule is another one than the plan's."),
    };
    schema.outputs = {{"MODEL", Kind::kModel, "A clone of the model that samples by the plan."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Plan plan = read_plan(inputs, "plan");
    const Handle& model = inputs.handle("model");
    require_unet(host, model, inputs.where("model"));
    return {.outputs = {host.with_inheritance(model, plan, inputs.where("plan"))}};
  }
};

}  // namespace

std::unique_ptr<Node> make_apply_plan() { return std::make_unique<ApplyPlan>(); }

}  // namespace asdm::nodes
