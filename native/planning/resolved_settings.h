// Settings of feature inheritance as users write them, resolved for one UNet.
#pragma once

#include "native/format/inheritance_request.h"
#include "native/format/plan.h"
#include "native/inheritance/inheritance_settings.h"
#include "native/unet/topology.h"

namespace asdm {

/// Throws Error for unknown names (listing the known), for settings without sense, and for those that could never
/// inherit anything.
[[nodiscard]] InheritanceSettings settings_of(const InheritanceRequest& request, const Topology& topology,
                                              const UNetSpec& spec);

/// Settings that replay a recorded plan. Throws Error at "evaluations[<index>].sites" for what the UNet does not have.
[[nodiscard]] InheritanceSettings settings_of(const Plan& plan, const Topology& topology, const UNetSpec& spec);

}  // namespace asdm
