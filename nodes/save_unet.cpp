// ASDMSaveUNet: a UNet to a safetensors file that carries its own UNetSpec.
#include "nodes/factories.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

class SaveUNet final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMSaveUNet";
    schema.display_name = "ASDM Save UNet (safetensors)";
    schema.category = "ASDM/compress";
    schema.description =
        "Writes the UNet of a MODEL, LoRA and merges included, to one safetensors file that ASDM Load UNet reads back. "
        "The file appears when it is whole: a run that is cut short leaves none behind.";
    schema.search_aliases = {"save", "export", "safetensors", "unet"};
    schema.inputs = {
        linked_input("model", Kind::kModel, "MODEL with a Stable Diffusion UNet, assembled or full."),
        string_input("filename_prefix", "diffusion_models/asdm_unet",
                     "Folder and name inside ComfyUI's output folder; a number is added. The loaders list what lies in "
                     "its diffusion_models."),
    };
    schema.outputs = {{"path", Kind::kString, "The file that was written."}};
    schema.is_output_node = true;
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Handle& model = inputs.handle("model");
    require_unet(host, model, inputs.where("model"));
    const std::string path = host.save_unet(model, inputs.text("filename_prefix"));
    return {.outputs = {path}, .ui_text = "saved " + path};
  }
};

}  // namespace

std::unique_ptr<Node> make_save_unet() { return std::make_unique<SaveUNet>(); }

}  // namespace asdm::nodes
