// Finds the UNet in a file of any published layout, and what its tensors are called in the full UNet.
#pragma once

#include <map>
#include <string>

#include "native/format/safetensors.h"
#include "native/format/unet_spec.h"

namespace asdm {

/// Tensor of this name, bytes of JSON: the UNetSpec of a file whose metadata somebody else chose.
inline constexpr std::string_view kSpecTensor = "asdm_unet_spec.json";

/// A UNet as it lies in a file.
struct UNetFile {
  UNetSpec spec;
  bool carries_spec = false;  ///< else the prediction is unknown: the host tells it by the weights
  /// Checkpoint name in the full UNet -> name in the file, for each tensor of the UNet. One that has no place in any
  /// UNet of this family stands under its own name.
  std::map<std::string, std::string> names;
};

/// Knows files that carry a UNetSpec, ldm and diffusers names, full checkpoints, and UNets that lack parts of SD1.x,
/// SD2.x or SDXL: under the numbers of the full one, or numbered anew (BK-SDM, small-sd, tiny-sd, SSD-1B, Vega, KOALA).
/// Numbered anew, a level keeps its first encoder blocks, its first decoder blocks and its last, and a transformer its
/// first transformer blocks, as those models were made. Throws Error naming the file.
[[nodiscard]] UNetFile read_unet_file(const SafetensorsFile& file);

}  // namespace asdm
