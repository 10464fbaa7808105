// ASDMAssembleUNet: a compressed UNet from a larger one, by a pruning map or a list of addresses.
#include <algorithm>

#include "native/assembly/pruning_maps.h"
#include "native/base/error.h"
#include "native/base/words.h"
#include "native/format/unet_layout.h"
#include "nodes/factories.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

constexpr const char* kNoPreset = "none";

std::vector<std::string> presets() {
  std::vector<std::string> names = pruning_map_names();
  std::rotate(names.begin(), std::find(names.begin(), names.end(), "s0_s1"),
              std::find(names.begin(), names.end(), "s0_s1") + 1);  // the default stands first
  names.emplace_back(kNoPreset);
  return names;
}

class AssembleUNet final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMAssembleUNet";
    schema.display_name = "ASDM Assemble UNet (compress)";
    schema.category = "ASDM/compress";
    schema.description =
        "Makes a smaller UNet out of a full one: blocks, layers or transformer blocks are taken out and the skips pair "
        "up anew. Without training the picture suffers, the more the more is taken; the weights that are left are "
        "those of the full UNet, shared and not copied, and LoRA, ControlNet and IPAdapter still find their places.";
    schema.search_aliases = {"compress", "prune", "small", "fast", "ssd-1b", "bk-sdm", "distil"};
    schema.is_experimental = true;
    schema.inputs = {
        linked_input("model", Kind::kModel, "MODEL with a Stable Diffusion UNet."),
        combo_input("preset", presets(),
                    "Which parts go. s0, s0_s1, s0_s1_s2: the second blocks of the shallowest levels. thin: inner "
                    "transformers at full resolution. bk_*: the structures of BK-SDM. ssd_1b, vega, koala_*: those of "
                    "the compressed SDXL. none: only what `remove` says."),
        string_input("remove", "",
                     "Further parts to take out, by address: blocks (in.2), layers (out.9.attn), transformer blocks "
                     "(in.7.attn.3). An encoder block needs its decoder block gone too."),
        linked_input(
            "calibrate", Kind::kConditioning,
            "Where it is connected, each cut is mended without training: one short run of the model under this "
            "conditioning says by which gain and shift per channel the layer before the cut stands in best."),
        linked_input("latent", Kind::kLatent,
                     "Size at which to calibrate; without it the size that the model was trained at."),
    };
    schema.inputs[3].optional = true;
    schema.inputs[4].optional = true;
    schema.outputs = {{"MODEL", Kind::kModel, "The smaller UNet, in the native engine."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Handle& model = inputs.handle("model");
    const UNetSpec spec = require_unet(host, model, inputs.where("model"));
    std::vector<std::string> addresses = words_of(inputs.text("remove"));
    if (const std::string& preset = inputs.text("preset"); preset != kNoPreset) {
      const std::vector<std::string> map = pruning_map(preset, spec);
      addresses.insert(addresses.end(), map.begin(), map.end());
    }
    const UNetSpec smaller = without(spec, addresses);
    if (smaller == spec) {
      throw invalid_input(inputs.where("remove"), "parts that the UNet still has", "none of them");
    }
    Handle assembled = host.assemble_unet(model, smaller);
    if (const Handle conditioning = inputs.optional_handle("calibrate")) {
      assembled = host.calibrate_unet(model, assembled, conditioning, inputs.optional_handle("latent"));
    }
    return {.outputs = {host.with_native_engine(assembled, "auto")}};
  }
};

}  // namespace

std::unique_ptr<Node> make_assemble_unet() { return std::make_unique<AssembleUNet>(); }

}  // namespace asdm::nodes
