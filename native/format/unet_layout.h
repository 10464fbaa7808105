// Which blocks and layers a UNetSpec has, by checkpoint number, and how they hang together. Knows no torch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "native/format/unet_spec.h"

namespace asdm {

enum class BlockKind { kInput, kMiddle, kOutput };
enum class LayerKind { kConv, kRes, kTransformer, kDown, kUp };

/// The host's names: "input", "middle", "output".
[[nodiscard]] std::string_view to_string(BlockKind kind);

/// One layer of a block.
struct LayerLayout {
  LayerKind kind = LayerKind::kRes;
  std::string key;      ///< checkpoint prefix, e.g. "input_blocks.4.0"
  std::string address;  ///< e.g. "in.4.res", "mid.res0", "out.8.up"
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t transformer_index = 0;                 ///< ordinal among all transformers of the full UNet, evaluation order
  std::vector<int64_t> transformer_blocks = {};  ///< numbers of those it has; none in other layers
};

/// One block.
struct BlockLayout {
  BlockKind kind = BlockKind::kInput;
  int64_t number = 0;       ///< number in the checkpoint
  std::string address;      ///< "in.4", "mid", "out.9"
  int64_t level = 0;        ///< resolution of its input is the latent's over 2^level
  int64_t in_channels = 0;  ///< of the trunk that enters it, without a skip
  int64_t out_channels = 0;
  int64_t skip = -1;  ///< number of the input block whose skip an output block takes
  std::vector<LayerLayout> layers;
};

/// All blocks in evaluation order.
using UNetLayout = std::vector<BlockLayout>;

/// The layout of the full UNet: as if `spec.removed` were empty. Expects its other fields to be valid.
[[nodiscard]] UNetLayout full_layout(const UNetSpec& spec);

/// The layout that is left without `spec.removed`. Skips pair up anew, the last one handed on going to the first
/// decoder block that is left, as in the full UNet. Throws Error where an address is unknown, and where no legal UNet
/// is left: it says which skip lost its consumer, which block lost its skip, or where the trunk no longer fits.
[[nodiscard]] UNetLayout make_layout(const UNetSpec& spec);

/// `spec` without `addresses` too, and without the ME-CondConv in them: blocks ("in.2"), layers ("out.9.attn") or
/// transformer blocks ("in.7.attn.3") in the numbers of the full UNet. Throws Error as make_layout() does.
[[nodiscard]] UNetSpec without(const UNetSpec& spec, const std::vector<std::string>& addresses);

}  // namespace asdm
