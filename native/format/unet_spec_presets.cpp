// The published UNets, with the values of the host's model_detection.py and supported_models.py.
#include <functional>
#include <numeric>
#include <utility>

#include "native/base/error.h"
#include "native/format/unet_spec.h"

namespace asdm {
namespace {

constexpr int64_t kPublishedHeadChannels = 64;

UNetSpec sd15() {
  UNetSpec spec;
  spec.channel_mult = {1, 2, 4, 4};
  spec.num_res_blocks = {2, 2, 2, 2};
  spec.transformer_depth = {1, 1, 1, 1, 1, 1, 0, 0};
  spec.transformer_depth_output = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
  return spec;
}

/// What SD2 and later share: linear projections, heads of fixed width.
UNetSpec with_fixed_heads(UNetSpec spec) {
  spec.use_linear_in_transformer = true;
  spec.num_heads = -1;
  spec.num_head_channels = kPublishedHeadChannels;
  return spec;
}

UNetSpec sd21() {
  UNetSpec spec = with_fixed_heads(sd15());
  spec.family = Family::kSD2;
  spec.context_dim = 1024;
  return spec;
}

UNetSpec sd21v() {
  UNetSpec spec = sd21();
  spec.prediction = Prediction::kVelocity;
  return spec;
}

UNetSpec sdxl() {
  UNetSpec spec = with_fixed_heads({});
  spec.family = Family::kSDXL;
  spec.channel_mult = {1, 2, 4};
  spec.num_res_blocks = {2, 2, 2};
  spec.transformer_depth = {0, 0, 2, 2, 10, 10};
  spec.transformer_depth_output = {0, 0, 0, 2, 2, 2, 10, 10, 10};
  spec.transformer_depth_middle = 10;
  spec.context_dim = 2048;
  spec.adm_in_channels = 2816;
  return spec;
}

UNetSpec sdxl_refiner() {
  UNetSpec spec = with_fixed_heads({});
  spec.family = Family::kSDXLRefiner;
  spec.model_channels = 384;
  spec.channel_mult = {1, 2, 4, 4};
  spec.num_res_blocks = {2, 2, 2, 2};
  spec.transformer_depth = {0, 0, 4, 4, 4, 4, 0, 0};
  spec.transformer_depth_output = {0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0};
  spec.transformer_depth_middle = 4;
  spec.context_dim = 1280;
  spec.adm_in_channels = 2560;
  return spec;
}

const std::vector<std::pair<std::string, std::function<UNetSpec()>>>& presets() {
  static const std::vector<std::pair<std::string, std::function<UNetSpec()>>> table = {
      {"sd15", sd15}, {"sd21", sd21}, {"sd21v", sd21v}, {"sdxl", sdxl}, {"sdxl_refiner", sdxl_refiner}};
  return table;
}

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const auto& [name, make] : presets()) {
    names.push_back(name);
  }
  return names;
}

UNetSpec preset_spec(std::string_view name, int64_t model_channels) {
  for (const auto& [known, make] : presets()) {
    if (known == name) {
      UNetSpec spec = make();
      if (model_channels != 0) {
        spec.model_channels = model_channels;
        if (spec.num_head_channels != -1) {
          spec.num_head_channels = std::gcd(kPublishedHeadChannels, model_channels);
        }
      }
      spec.validate();
      return spec;
    }
  }
  throw unknown_name("UNetSpec preset", name, preset_names());
}

}  // namespace asdm
