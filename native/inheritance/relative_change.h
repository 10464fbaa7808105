// How much a tensor changed, as one number on its device.
#pragma once

#include <ATen/core/Tensor.h>

namespace asdm {

/// sum |now - before| / sum |before|, a scalar; 0 where nothing changed, infinite where only `before` is zero. Shapes
/// must agree.
[[nodiscard]] at::Tensor relative_change(const at::Tensor& now, const at::Tensor& before);

}  // namespace asdm
