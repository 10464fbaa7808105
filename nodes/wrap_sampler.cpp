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
    schema.display_name = "ASDM Wrap Sampler (faster, cache)";
    schema.description =
        "A sampler that brings feature inheritance to whatever model it meets, for graphs with SamplerCustom. The same "
        "as ASDM Faster SD/SDXL or ASDM Apply Plan on the model: the pictures are equal.";
    schema.search_aliases = {"fast", "faster", "speed", "cache", "deepcache", "sampler"};
    schema.tells_runs = true;
    schema.inputs = inheritance_inputs();
    for (InputSchema& input : schema.inputs) {
      input.used_when.push_back({"plan", {""}});
    }
    const std::vector<InputSchema> own = {
        linked_input("sampler", Kind::kSampler,
                     "SAMPLER from any node. Its steps stay as they are; for the time of a run the UNet of the model "
                     "inherits. Where the model carries an inheritance of its own, that of the sampler wins."),
        plan_input("JSON of a plan to follow in place of the settings below; empty: the settings count."),
    };
    schema.inputs.insert(schema.inputs.begin(), own.begin(), own.end());
    schema.outputs = {{"SAMPLER", Kind::kSampler, "A sampler that inherits features while it samples."}};
    return schema;
  }

 protected:
  [[nodiscard]] std::optional<Inheritance> inheritance_of(const Inputs& inputs) const override {
    if (is_planned(inputs)) {
      return read_plan(inputs, "plan");
    }
    return read_inheritance(inputs);
  }

 private:
  static bool is_planned(const Inputs& inputs) {
    return inputs.text("plan").find_first_not_of(" \t\r\n") != std::string::npos;
  }

  Result run(Host& host, const Inputs& inputs) const override {
    const Inheritance inheritance = *inheritance_of(inputs);
    const std::string where = is_planned(inputs) ? inputs.where("plan") : inputs.node_id();
    return {.outputs = {host.wrap_sampler(inputs.handle("sampler"), inheritance, where)}};
  }
};

}  // namespace

std::unique_ptr<Node> make_wrap_sampler() { return std::make_unique<WrapSampler>(); }

}  // namespace asdm::nodes
