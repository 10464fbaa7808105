// The picture of a training: its loss over the steps.
#pragma once

#include <vector>

#include "nodes/host.h"

namespace asdm::nodes {

/// One picture: `losses`, one per step, on a logarithmic scale, thin, and their running mean on top of them.
[[nodiscard]] Image loss_plot(const std::vector<double>& losses);

}  // namespace asdm::nodes
