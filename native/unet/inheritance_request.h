// Settings of feature inheritance as users write them, resolved for one UNet.
#pragma once

#include <string>
#include <vector>

#include "native/inheritance/inheritance_settings.h"
#include "native/unet/topology.h"

namespace asdm {

/// Every choice by its name.
struct InheritanceRequest {
  std::string level = "block";
  std::string sites = "auto";
  std::string mode = "uniform";
  int64_t interval = 1;
  int64_t full_evaluations = 0;
  double threshold = 0.0;
  double start_percent = 0.0;
  double end_percent = 1.0;
  std::string value = "hold";
  int64_t max_age = 0;
  std::string full_at;  ///< mode explicit: indices or a mask
  std::string storage = "compute";
  int64_t first_full = 0;
  int64_t last_full = 0;
};

/// Throws Error for unknown names (listing the known), for settings without sense, and for those that could never
/// inherit anything.
[[nodiscard]] InheritanceSettings settings_of(const InheritanceRequest& request, const Topology& topology,
                                              const UNetSpec& spec);

/// Settings that replay a recorded plan: `evaluations`, for each the addresses of its sites, none where it was full.
/// Throws Error at "evaluations[<index>].sites" for what the UNet does not have.
[[nodiscard]] InheritanceSettings settings_of_plan(const std::vector<std::vector<std::string>>& evaluations,
                                                   const ValueSettings& values, const Topology& topology,
                                                   const UNetSpec& spec);

}  // namespace asdm
