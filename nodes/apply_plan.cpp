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
    schema.display_name = "ASDM Apply Plan (speed)";
    schema.category = "ASDM/plans";
    schema.description =
        "Samples by a plan: evaluation by evaluation, what is computed and what is inherited. Every run leaves "
        "its plan in the pictures saved behind it, and the same graph with that plan gives the same picture again, "
        "whatever decided the first time. Drop such a picture here to load its plan, or paint one by hand.";
    schema.search_aliases = {"fast", "speed", "cache", "replay", "schedule"};
    schema.tells_runs = true;
    schema.inputs = {
        linked_input("model", Kind::kModel,
                     "MODEL with a Stable Diffusion UNet. The native engine is installed where it is missing; another "
                     "inheritance that the model carries gives way."),
        plan_input(
            "JSON of a plan. Drop a picture on the node for the plan of its run, or a .json file; edit plan shows it "
            "as a grid to paint; the last output of ASDM Report gives it too. It is followed step by step; the "
            "report says where the schedule is another one than that of the plan."),
    };
    schema.outputs = {{"MODEL", Kind::kModel, "A clone of the model that samples by the plan."}};
    return schema;
  }

 protected:
  [[nodiscard]] std::optional<Inheritance> inheritance_of(const Inputs& inputs) const override {
    return read_plan(inputs, "plan");
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Inheritance plan = *inheritance_of(inputs);
    const Handle& model = inputs.handle("model");
    require_unet(host, model, inputs.where("model"));
    return {.outputs = {host.with_inheritance(model, plan, inputs.where("plan"))}};
  }
};

}  // namespace

std::unique_ptr<Node> make_apply_plan() { return std::make_unique<ApplyPlan>(); }

}  // namespace asdm::nodes
