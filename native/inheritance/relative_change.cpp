#include "native/inheritance/relative_change.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/nan_to_num.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <limits>

namespace asdm {

at::Tensor relative_change(const at::Tensor& now, const at::Tensor& before) {
  const at::Tensor gap = (now.to(at::kFloat) - before).abs().sum();
  const at::Tensor size = before.abs().sum(at::kFloat);
  // Where values are no numbers everything has changed, so that the UNet is asked.
  return at::nan_to_num(at::where(gap == 0.0, at::zeros_like(gap), gap / size), std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::infinity());
}

}  // namespace asdm
