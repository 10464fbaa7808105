// Refuses a MODEL that holds no Stable Diffusion UNet, with the same words in every node.
#pragma once

#include <string>
#include <string_view>

#include "nodes/host.h"

namespace asdm::nodes {

/// The UNetSpec of `model` as JSON. Throws Error at `where` naming the model's class, the host's reason and the
/// families that do work.
std::string require_unet(Host& host, const Handle& model, std::string_view where);

}  // namespace asdm::nodes
