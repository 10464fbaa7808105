// How much a tensor changed, as one number.
#pragma once

#include <ATen/core/Tensor.h>

namespace asdm {

/// sum |now - before| / sum |before|; 0 where nothing changed, infinite where only `before` is zero. One number comes
/// from the device. Shapes must agree.
[[nodiscard]] double relative_change(const at::Tensor& now, const at::Tensor& before);

}  // namespace asdm
