// How much memory a run takes for what it keeps from call to call, for those who plan memory ahead.
#pragma once

#include <cstdint>

#include "native/inheritance/inheritance_settings.h"
#include "native/unet/topology.h"

namespace asdm {

/// Every node whose value a run under `settings` keeps: the sites, and what tells of cuts.
[[nodiscard]] std::set<NodeId> kept_nodes(const InheritanceSettings& settings);

/// Bytes that the features of a call with `rows` rows of latents of `height` x `width` take, once as many values are
/// stored as forecasts look back on, and residuals of ControlNets where they are inherited. `element_size`: bytes of an
/// element as it is computed.
[[nodiscard]] int64_t feature_bytes(const InheritanceSettings& settings, const Topology& topology, int64_t rows,
                                    int64_t height, int64_t width, int64_t element_size);

/// Bytes that sums of held features alone take at most in such a call (native/layers/res_block.h).
[[nodiscard]] int64_t held_sum_bytes(const InheritanceSettings& settings, const Topology& topology, int64_t rows,
                                     int64_t height, int64_t width, int64_t element_size);

/// Bytes that a ProjectionCache takes at most in calls with `rows` rows and `tokens` context tokens.
[[nodiscard]] int64_t projection_bytes(const Topology& topology, int64_t rows, int64_t tokens, int64_t element_size);

}  // namespace asdm
