// Names of inheritance sites: what a user may write for `sites`, resolved to nodes of one UNet.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/unet/topology.h"

namespace asdm {

/// Nodes named by `sites`: "auto" (a cut that suits the architecture) or block addresses such as "out.8", separated
/// by commas or white space. Throws Error listing the known names for an unknown one.
[[nodiscard]] std::vector<NodeId> resolve_sites(const Topology& topology, const UNetSpec& spec,
                                                std::string_view sites);

/// Blocks whose stored value can stand in: every block but the last, whose value is the whole UNet's.
[[nodiscard]] std::vector<std::string> site_names(const Topology& topology);

}  // namespace asdm
