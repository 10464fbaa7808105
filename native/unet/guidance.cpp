#include "native/unet/guidance.h"

#include <algorithm>

namespace asdm {
std::string narrowing_obstacle(const ForwardInputs& inputs, const Hooks& hooks, const HostModules* host) {
  if (host != nullptr && host->sees_batch()) {
    return "guidance: the host's own code must see cond and uncond together";
  }
  if (hooks.follows_blocks() || hooks.hooks_input_blocks() || hooks.hooks_output_blocks() ||
      hooks.hooks_middle_block() || hooks.hooks_transformers()) {
    return "guidance: a patch must see cond and uncond together";
  }
  for (const std::vector<at::Tensor>* residuals : inputs.control.lists()) {
    const bool fits = std::all_of(residuals->begin(), residuals->end(), [&](const at::Tensor& residual) {
      return !residual.defined() || residual.dim() == 0 || residual.size(0) == 1 ||
             residual.size(0) == inputs.x.size(0);
    });
    if (!fits) {
      return "guidance: control residuals of another batch size";
    }
  }
  return "";
}

ForwardInputs narrowed(const ForwardInputs& inputs, const RowRange& rows) {
  const int64_t batch = inputs.x.size(0);
  const auto part = [&](const at::Tensor& t) {
    return t.defined() && t.dim() > 0 && t.size(0) == batch ? t.narrow(0, rows.first, rows.count) : t;
  };
  ForwardInputs narrow{part(inputs.x), part(inputs.timesteps), part(inputs.context), part(inputs.y), inputs.control};
  for (std::vector<at::Tensor>* residuals : narrow.control.lists()) {
    std::transform(residuals->begin(), residuals->end(), residuals->begin(), part);
  }
  return narrow;
}

}  // namespace asdm
