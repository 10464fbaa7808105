// ASDMLoadUNet: a UNet from a safetensors file that carries its own UNetSpec.
#include <algorithm>

#include "native/base/error.h"
#include "native/format/safetensors.h"
#include "native/format/unet_spec.h"
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

/// The UNetSpec in the metadata of the file at `path`, checked, as JSON.
std::string read_spec(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto found = file.metadata().find(std::string(kSpecMetadataKey));
  if (found == file.metadata().end()) {
    throw invalid_input(path, "a file that carries a UNetSpec (metadata key '" + std::string(kSpecMetadataKey) + "')",
                        "a file that carries no UNetSpec. An ordinary checkpoint goes through the stock loader (Load "
                        "Checkpoint or Load Diffusion Model) followed by ASDMNativeUNet");
  }
  try {
    return to_json(spec_from_json(found->second));
  } catch (const Error& error) {
    throw invalid_input(path, "a valid UNetSpec in its metadata", error.what());
  }
}

class LoadUNet final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMLoadUNet";
    schema.display_name = "ASDM Load UNet";
    schema.description =
        "Loads a UNet whose safetensors file describes its own structure (a UNetSpec in the metadata), such as the "
        "demo model of this pack. An ordinary checkpoint goes through the stock loader followed by ASDM Native UNet.";
    schema.inputs = {
        model_file_input("unet_name", std::string(kFolder),
                         "File in models/diffusion_models whose metadata carry a UNetSpec."),
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
    Handle model = host.load_unet(path, read_spec(path), inputs.text("weight_dtype"));
    if (inputs.text("engine") == "native") {
      model = host.with_native_engine(model, EngineOptions{});
    }
    return {.outputs = {model}};
  }
};

}  // namespace

std::unique_ptr<Node> make_load_unet() { return std::make_unique<LoadUNet>(); }

}  // namespace asdm::nodes
