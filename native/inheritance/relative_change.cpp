#include "native/inheritance/relative_change.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/nan_to_num.h>

#include <limits>

namespace asdm {

at::Tensor relative_change(const at::Tensor& now, const at::Tensor& before) {
  const at::Tensor gap = (now - before).abs().sum(at::kFloat);
  const at::Tensor size = before.abs().sum(at::kFloat);
  return at::nan_to_num(gap / size, 0.0, std::numeric_limits<double>::infinity());  // 0 / 0
}

}  // namespace asdm
