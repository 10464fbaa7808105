// Which parts the known compressed UNets lack of the full one, for any UNet that has such parts. Free of torch.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/format/unet_spec.h"

namespace asdm {

/// Names: "s0", "s0_s1", "s0_s1_s2" and "thin" take from the shallow levels, where A-SDM (arXiv 2406.00210) prunes for
/// speed, though which layers it takes is not published; "bk_base", "bk_small", "bk_tiny" are those of BK-SDM (arXiv
/// 2305.15798) and of Segmind's small-sd and tiny-sd; "ssd_1b", "vega", "koala_1b" and "koala_700m" those of SDXL.
[[nodiscard]] std::vector<std::string> pruning_map_names();

/// Addresses that the map `name` takes from the full UNet of `spec`. Throws Error for an unknown name, and for a map
/// that was made for another architecture.
[[nodiscard]] std::vector<std::string> pruning_map(std::string_view name, const UNetSpec& spec);

}  // namespace asdm
