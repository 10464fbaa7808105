#include "native/inheritance/relative_change.h"

#include <ATen/TensorOperators.h>

namespace asdm {

double relative_change(const at::Tensor& now, const at::Tensor& before) {
  const at::Tensor gap = (now - before).abs().sum(at::kFloat);
  const at::Tensor size = before.abs().sum(at::kFloat);
  const double change = (gap / size).item<double>();
  return change == change ? change : 0.0;  // 0 / 0
}

}  // namespace asdm
