// The structure of a Stable Diffusion UNet, in the terms of its checkpoints. Knows no layers and no torch.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "native/base/expert_routing.h"

namespace asdm {

enum class Family { kSD1, kSD2, kSDXL, kSDXLRefiner };
inline constexpr std::array kFamilies{Family::kSD1, Family::kSD2, Family::kSDXL, Family::kSDXLRefiner};
enum class Prediction { kEpsilon, kVelocity };

/// A convolution of the UNet that is ME-CondConv.
struct MECondConvSite {
  std::string site;  ///< "in.1.res.conv2": the address of a ResBlock, and "conv1" or "conv2"
  ExpertRouting routing = {};

  bool operator==(const MECondConvSite&) const = default;
};

/// Structure of a UNet in ldm terms; field names equal the JSON keys and those of the host's `unet_config`.
struct UNetSpec {
  Family family = Family::kSD1;
  Prediction prediction = Prediction::kEpsilon;
  int64_t in_channels = 4;  ///< 4; 9 for inpainting, 8 for InstructPix2Pix
  int64_t out_channels = 4;
  int64_t model_channels = 320;                   ///< base width; GroupNorm needs a multiple of 32
  std::vector<int64_t> channel_mult;              ///< one per level
  std::vector<int64_t> num_res_blocks;            ///< one per level
  std::vector<int64_t> transformer_depth;         ///< one per encoder ResBlock, in encoder order; 0 = no transformer
  std::vector<int64_t> transformer_depth_output;  ///< one per decoder ResBlock, taken from the END (host order)
  int64_t transformer_depth_middle = 1;           ///< >= 0: ResBlock, transformer, ResBlock; -1: one ResBlock; -2: none
  int64_t context_dim = 768;                      ///< width of the text features
  int64_t num_heads = 8;                          ///< used where num_head_channels is -1; else -1 or ignored
  int64_t num_head_channels = -1;                 ///< width of one head; -1 = from num_heads
  bool use_linear_in_transformer = false;         ///< proj_in/proj_out are linears instead of 1x1 convolutions
  int64_t adm_in_channels = 0;                    ///< width of the vector conditioning `y`; 0 = none
  /// Parts that this UNet lacks of the full one, which all fields above describe: blocks ("in.2"), layers
  /// ("out.9.attn") and transformer blocks ("in.7.attn.4"), in its numbers and its evaluation order, whole parts
  /// instead of all that is in them. What is left keeps its number. Empty in a full UNet.
  std::vector<std::string> removed;
  /// In evaluation order; none in published UNets.
  std::vector<MECondConvSite> me_cond_conv;

  /// By their keys in JSON, in that order; all but `removed` and `me_cond_conv`, which are written where they hold
  /// something.
  static constexpr auto fields() {
    using Self = UNetSpec;
    return std::tuple{std::pair{"family", &Self::family},
                      std::pair{"prediction", &Self::prediction},
                      std::pair{"in_channels", &Self::in_channels},
                      std::pair{"out_channels", &Self::out_channels},
                      std::pair{"model_channels", &Self::model_channels},
                      std::pair{"channel_mult", &Self::channel_mult},
                      std::pair{"num_res_blocks", &Self::num_res_blocks},
                      std::pair{"transformer_depth", &Self::transformer_depth},
                      std::pair{"transformer_depth_output", &Self::transformer_depth_output},
                      std::pair{"transformer_depth_middle", &Self::transformer_depth_middle},
                      std::pair{"context_dim", &Self::context_dim},
                      std::pair{"num_heads", &Self::num_heads},
                      std::pair{"num_head_channels", &Self::num_head_channels},
                      std::pair{"use_linear_in_transformer", &Self::use_linear_in_transformer},
                      std::pair{"adm_in_channels", &Self::adm_in_channels}};
  }

  /// Throws Error naming the field that makes this no legal UNet, for `removed` the part that no longer fits, and for
  /// `me_cond_conv` the site.
  void validate() const;

  bool operator==(const UNetSpec&) const = default;
};

/// Names: "sd15", "sd21" (eps), "sd21v", "sdxl", "sdxl_refiner". `model_channels` 0 keeps the published width.
/// Another width scales every level with it; `context_dim` and `adm_in_channels` stay, because the text encoders fix
/// them, and heads of 64 shrink to the widest power of two that divides it.
/// Inpainting and InstructPix2Pix forms differ in `in_channels` alone.
[[nodiscard]] UNetSpec preset_spec(std::string_view name, int64_t model_channels = 0);
[[nodiscard]] std::vector<std::string> preset_names();

/// The JSON that travels in a file's metadata under `kSpecMetadataKey`. Unknown, missing and repeated keys are errors,
/// and what is read is validated.
inline constexpr std::string_view kSpecMetadataKey = "asdm.unet_spec";
[[nodiscard]] std::string to_json(const UNetSpec& spec);
[[nodiscard]] UNetSpec spec_from_json(std::string_view json);

/// The JSON names: "sd1", "sd2", "sdxl", "sdxl_refiner"; "eps", "v".
[[nodiscard]] std::string_view to_string(Family family);
[[nodiscard]] std::string_view to_string(Prediction prediction);
/// As people write them, for messages: "SD1.x", "SD2.x", "SDXL", "SDXL refiner".
[[nodiscard]] std::vector<std::string> family_titles();

}  // namespace asdm
