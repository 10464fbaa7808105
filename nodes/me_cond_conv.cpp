// ASDMMECondConv: gives convolutions of a compressed UNet several experts, to be trained.
#include "native/assembly/me_cond_conv_start.h"
#include "native/base/name_table.h"
#include "nodes/factories.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

class MECondConvNode final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMMECondConv";
    schema.display_name = "ASDM ME-CondConv (compress)";
    schema.category = "ASDM/compress";
    schema.description =
        "Gives convolutions of a compressed UNet several expert kernels, which a router mixes into one for each "
        "sample: more capacity at nearly the cost of one convolution. The experts start from the convolutions that "
        "were pruned, and the UNet from what it was: it gets better by training alone.";
    schema.search_aliases = {"compress", "experts", "condconv", "mixture"};
    schema.is_experimental = true;
    schema.inputs = {
        linked_input("model", Kind::kModel, "MODEL with a compressed Stable Diffusion UNet, or a full one."),
        string_input(
            "sites", std::string(kAutomaticSites),
            "Convolutions by address, such as in.1.res.conv2. auto: the second one of each ResBlock that is left "
            "where its stage lost something."),
        int_input("experts", 2, {2, 8, 1},
                  "Kernels per convolution, the one that was there included. Higher holds more and takes more memory."),
        combo_input(
            "routing", names_of(kRoutingForms),
            "How shares become of the values of the router: softmax, so that they sum to 1, or sigmoid, each by "
            "itself."),
        combo_input(
            "source", names_of(kRoutingSources),
            "What the router reads. input: the mean of each sample over its pixels. input_shared: the mean over "
            "the batch too, so that cond and uncond get one kernel. time: the time embedding."),
        float_input("temperature", 1.0, {0.1, 100.0, 0.1},
                    "The values of the router are divided by it: higher spreads the shares as it learns."),
        linked_input("teacher", Kind::kModel,
                     "MODEL with the full UNet: experts start from the convolutions that were pruned. Without it they "
                     "start from the one that was kept, slightly perturbed."),
    };
    schema.inputs.back().optional = true;
    schema.outputs = {{"MODEL", Kind::kModel, "The UNet with its experts, in the native engine."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Handle& model = inputs.handle("model");
    const UNetSpec student = require_unet(host, model, inputs.where("model"));
    const Handle teacher = inputs.optional_handle("teacher");
    const UNetSpec full = teacher ? require_unet(host, teacher, inputs.where("teacher")) : student;
    const ExpertRouting routing{.experts = inputs.integer("experts"),
                                .form = value_named(kRoutingForms, inputs.where("routing"), inputs.text("routing")),
                                .source = value_named(kRoutingSources, inputs.where("source"), inputs.text("source")),
                                .temperature = inputs.number("temperature")};
    const MECondConvStart start =
        start_me_cond_conv(student, full, {.sites = inputs.text("sites"), .routing = routing});
    return {.outputs = {host.with_native_engine(host.with_experts(model, start, teacher), "auto")}};
  }
};

}  // namespace

std::unique_ptr<Node> make_me_cond_conv() { return std::make_unique<MECondConvNode>(); }

}  // namespace asdm::nodes
