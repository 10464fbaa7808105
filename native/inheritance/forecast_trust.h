// What the difference terms of a forecast are worth, by how well they forecast last time.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/inheritance/value_form.h"

namespace asdm {

/// For each row <fresh - newest, d> / <d, d>, cut to [0, 1], where
/// d = near * (newest - second) + far * (second - third)
/// is the step that was foretold from the values before `fresh`: 1 where it came true, 0 where the feature stood still
/// or turned back. fp32 [rows] on the device of the values; nothing waits for it. `third` counts where `weights.far` is
/// not 0. One pass over the values on CPU.
[[nodiscard]] at::Tensor forecast_trust(const at::Tensor& fresh, const at::Tensor& newest, const at::Tensor& second,
                                        const at::Tensor& third, const DifferenceWeights& weights);

}  // namespace asdm
