// What ControlNets and adapters add to the UNet. The host computes it, before it calls the UNet.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

namespace asdm {

/// Residuals for one call; each list is taken from its END, block by block, as the host does. An undefined tensor adds
/// nothing.
struct Control {
  std::vector<at::Tensor> input;
  std::vector<at::Tensor> middle;
  std::vector<at::Tensor> output;

  [[nodiscard]] std::array<std::vector<at::Tensor>*, 3> lists() { return {&input, &middle, &output}; }
  [[nodiscard]] std::array<const std::vector<at::Tensor>*, 3> lists() const { return {&input, &middle, &output}; }
};

}  // namespace asdm
