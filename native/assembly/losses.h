// What a student is trained by. One value per sample, so that the loss of a batch is that of its parts, wherever they
// run.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/format/unet_spec.h"

namespace asdm {

/// Mean of (a - b)^2 over all but the first dimension: [batch, ...] -> [batch].
[[nodiscard]] at::Tensor mean_squared_error(const at::Tensor& a, const at::Tensor& b);

/// ||student - teacher||^2 / ||teacher||^2 of each sample: [batch, ...] -> [batch]. Normalised, since the raw sums of
/// deep blocks drown those of shallow ones (LAPTOP-Diff, arXiv 2404.11098).
[[nodiscard]] at::Tensor relative_error(const at::Tensor& student, const at::Tensor& teacher);

/// 1 - cos of the channel means of each sample: [batch, channels, height, width] -> [batch].
[[nodiscard]] at::Tensor semantic_distance(const at::Tensor& student, const at::Tensor& teacher);

/// The clean latent x0 that `prediction` says lies under `x` = signal * x0 + noise * epsilon; `signal` and `noise`
/// [batch].
[[nodiscard]] at::Tensor predicted_clean(const at::Tensor& x, const at::Tensor& prediction, const at::Tensor& signal,
                                         const at::Tensor& noise, Prediction kind);

}  // namespace asdm
