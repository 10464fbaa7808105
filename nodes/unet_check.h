// Refuses a MODEL that holds no Stable Diffusion UNet, with the same words in every node.
#pragma once

#include <string_view>

#include "nodes/host.h"

namespace asdm::nodes {

/// The structure of `model`. Throws Error at `where` naming the model's class, the host's reason and the
/// families that do work.
UNetSpec require_unet(Host& host, const Handle& model, std::string_view where);

}  // namespace asdm::nodes
