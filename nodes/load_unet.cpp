// ASDMLoadUNet: the UNet of a safetensors file, in any layout that native/format/unet_file.h knows.
#include <algorithm>

#include "native/base/error.h"
#include "native/format/safetensors.h"
#include "native/format/unet_file.h"
#include "nodes/factories.h"

namespace asdm::nodes {
namespace {

constexpr std::string_view kFolder = "diffusion_models";

std::string find_file(Host& host, const Inputs& inputs) {
  const std::string& name = inputs.text("unet_name");
  const std::vector<std::string> known = host.list_models(kFolder);
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    throw unknown_name(inputs.where("unet_name"), name, known);
  }
  return host.model_path(kFolder, name);
}

class LoadUNet final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMLoadUNet";
    schema.display_name = "ASDM Load UNet (compressed too)";
    schema.description =
        "Loads the UNet of a safetensors file: SD1.x, SD2.x, SDXL and full checkpoints of them, compressed ones such "
        "as SSD-1B, Segmind Vega, KOALA, BK-SDM, small-sd and tiny-sd with the names of ldm or diffusers, and what "
        "ASDM Save UNet wrote. Names every tensor that is missing or has no place.";
    schema.search_aliases = {"load", "unet", "ssd-1b", "vega", "koala", "bk-sdm", "tiny-sd", "small-sd", "compressed"};
    schema.inputs = {
        model_file_input("unet_name", std::string(kFolder), "Safetensors file in models/diffusion_models."),
        combo_input("weight_dtype", {"default", "fp32", "bf16", "fp16"},
                    "Precision the weights are kept in. default: what the host chooses for this device."),
        combo_input("engine", {"native", "reference"},
                    "native: the C++ engine of this pack. reference: the Python forward over the same weights, slower, "
                    "to compare with."),
    };
    schema.outputs = {{"MODEL", Kind::kModel, "The UNet, ready for a sampler."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const std::string path = find_file(host, inputs);
    Handle model = host.load_unet(path, read_unet_file(SafetensorsFile::open(path)), inputs.text("weight_dtype"));
    if (inputs.text("engine") == "native") {
      model = host.with_native_engine(model, "auto");
    }
    return {.outputs = {model}};
  }
};

}  // namespace

std::unique_ptr<Node> make_load_unet() { return std::make_unique<LoadUNet>(); }

}  // namespace asdm::nodes
