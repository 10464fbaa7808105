// Names of inheritance sites: what a user may write for `sites`, resolved to nodes of one UNet.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "native/base/error.h"
#include "native/inheritance/inheritance_settings.h"
#include "native/planning/presets.h"
#include "native/unet/topology.h"

namespace asdm {

/// Sites as they were written.
struct ResolvedSites {
  std::vector<SitePhase> phases;
  std::set<NodeId> whole_outputs;  ///< layers that were asked for with ":output"
  bool automatic = false;          ///< "auto" stood for all of them
  bool phased = false;             ///< phases were given
};

/// Nodes named by `text`, separated by commas or white space: addresses ("out.8", "in.4.attn", "in.4.attn.0.ff", "out"
/// for the whole UNet, "guidance", "control"), patterns of addresses ("out.*.attn.*.attn1": * stands for any characters
/// but a dot, ? for one), presets, or "auto" alone, which means what suits the architecture at `level`. A layer is
/// inherited as what it adds to its input, with ":output" as its output. Phases are shares of the window, each with its
/// own sites: "0-0.5: out.10; 0.5-1: out.8".
/// Throws Error listing the known names for an unknown one.
[[nodiscard]] ResolvedSites resolve_sites(const Topology& topology, const UNetSpec& spec, SiteLevel level,
                                          std::string_view text);

/// Leaves out of each phase the sites that would serve nobody beside the others.
void drop_dead_sites(const Topology& topology, ResolvedSites& resolved);

/// The error at `where` for one layer that is named in both forms.
[[nodiscard]] Error both_forms(std::string_view where, const Topology& topology, NodeId layer);

/// Blocks whose stored value can stand in: every block but the last, whose value is the whole UNet's.
[[nodiscard]] std::vector<std::string> site_names(const Topology& topology);

/// `sites` as resolve_sites() would read them: addresses, with ":output" where that is meant.
[[nodiscard]] std::vector<std::string> site_texts(const Topology& topology, const std::vector<NodeId>& sites,
                                                  const std::set<NodeId>& whole_outputs);

}  // namespace asdm
