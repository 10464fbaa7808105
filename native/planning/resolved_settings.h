// Settings of feature inheritance as users write them, resolved for one UNet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/format/inheritance_request.h"
#include "native/format/plan.h"
#include "native/inheritance/inheritance_settings.h"
#include "native/unet/topology.h"

namespace asdm {

/// Throws Error for unknown names (listing the known), for settings without sense, and for a threshold with which
/// nothing would ever be inherited.
[[nodiscard]] InheritanceSettings settings_of(const InheritanceRequest& request, const Topology& topology,
                                              const UNetSpec& spec);

/// Settings that replay a recorded plan. Throws Error at "evaluations[<index>].sites" for what the UNet does not have.
[[nodiscard]] InheritanceSettings settings_of(const Plan& plan, const Topology& topology, const UNetSpec& spec);

/// Before a UNet is known: throws Error where settings_of() would for a full UNet of every family; one that lacks parts
/// has no addresses that its family does not have.
void check_without_unet(const InheritanceRequest& request);
void check_without_unet(const Plan& plan);

/// What of `request` cannot matter in a run of so many `evaluations`, in a sentence each.
[[nodiscard]] std::vector<std::string> idle_settings(const InheritanceRequest& request, int64_t evaluations);

}  // namespace asdm
