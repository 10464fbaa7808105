// Reads the place of a tensor from its name, in either of the two ways to name the parts of a UNet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "native/format/unet_layout.h"

namespace asdm {

/// Where a tensor of a block belongs, in the numbers of its file.
struct TensorPlace {
  BlockKind kind = BlockKind::kInput;
  LayerKind layer = LayerKind::kRes;
  int64_t block = 0;  ///< ldm: number of the block. diffusers: of the group of blocks; 0 for the middle
  int64_t index = 0;  ///< ldm: number of the layer in its block. diffusers: of the layer in its group, by kind
  int64_t transformer_block = -1;  ///< -1 outside of one
  std::string rest;                ///< what follows the layer's prefix, as ldm calls it: "in_layers.0.weight"
};

enum class Naming { kLdm, kDiffusers };

/// The place of tensor `name`; none for a tensor outside of the blocks, and for an unknown one.
[[nodiscard]] std::optional<TensorPlace> place_of(std::string_view name, Naming naming);

/// The ldm name of a diffusers tensor outside of the blocks: "conv_in.weight" -> "input_blocks.0.0.weight"; empty for
/// any other.
[[nodiscard]] std::string outer_name(std::string_view diffusers_name);

}  // namespace asdm
