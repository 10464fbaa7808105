// Running the cond half of a call alone, where uncond is made from it and the inherited guidance.
#pragma once

#include <string>

#include "native/inheritance/feature_series.h"
#include "native/unet/hooks.h"
#include "native/unet/unet.h"

namespace asdm {

/// Why the rows of a call cannot run without the others; empty = they can.
[[nodiscard]] std::string narrowing_obstacle(const ForwardInputs& inputs, const Hooks& hooks, const HostModules* host);

/// `inputs` for `rows` of the batch alone, as views.
[[nodiscard]] ForwardInputs narrowed(const ForwardInputs& inputs, const RowRange& rows);

}  // namespace asdm
