// Sets of sites that have a name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/format/choices.h"
#include "native/inheritance/inheritance_settings.h"
#include "native/unet/topology.h"

namespace asdm {

/// What "auto" means at `level`. The reason for each choice stands beside it.
[[nodiscard]] std::vector<NodeId> automatic_sites(const Topology& topology, const UNetSpec& spec, SiteLevel level);

/// What "auto" means in mode "segment" at block level: cuts that lie deeper from phase to phase.
[[nodiscard]] std::vector<SitePhase> automatic_phases(const Topology& topology, const UNetSpec& spec);

/// "encoder", "deepcache", ...
[[nodiscard]] std::vector<std::string> preset_site_names();
/// The nodes of the preset `name`; none where this UNet has no such parts. Throws Error for an unknown name.
[[nodiscard]] std::vector<NodeId> preset_sites(const Topology& topology, const UNetSpec& spec, std::string_view name);

/// The cut behind which everything is inherited when input block `input` is the last one computed. `input` itself where
/// nothing lies behind it.
[[nodiscard]] NodeId cut_behind(const Topology& topology, NodeId input);
/// One cut per level, the shallowest first: behind the last block of each level of the encoder.
[[nodiscard]] std::vector<NodeId> level_cuts(const Topology& topology);

}  // namespace asdm
