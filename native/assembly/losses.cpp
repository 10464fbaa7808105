#include "native/assembly/losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cosine_similarity.h>

namespace asdm {
namespace {

/// Keeps a teacher's value of nothing but zeros from making the error infinite.
constexpr double kSmallestSquare = 1e-12;

at::Tensor per_sample(const at::Tensor& values) { return values.flatten(1).mean(1); }
at::Tensor over_pixels(const at::Tensor& factor) { return factor.view({-1, 1, 1, 1}); }

}  // namespace

at::Tensor mean_squared_error(const at::Tensor& a, const at::Tensor& b) { return per_sample((a - b).square()); }

at::Tensor relative_error(const at::Tensor& student, const at::Tensor& teacher) {
  return mean_squared_error(student, teacher) / per_sample(teacher.square()).clamp_min(kSmallestSquare);
}

at::Tensor semantic_distance(const at::Tensor& student, const at::Tensor& teacher) {
  return 1.0 - at::cosine_similarity(student.mean({2, 3}), teacher.mean({2, 3}), 1);
}

at::Tensor predicted_clean(const at::Tensor& x, const at::Tensor& prediction, const at::Tensor& signal,
                           const at::Tensor& noise, Prediction kind) {
  const at::Tensor part = over_pixels(noise) * prediction;
  return kind == Prediction::kVelocity ? over_pixels(signal) * x - part : (x - part) / over_pixels(signal);
}

}  // namespace asdm
