#include "native/inheritance/value_form.h"

#include <cmath>

namespace asdm {

int64_t snapshots_of(ValueForm form) {
  switch (form) {
    case ValueForm::kHold:
    case ValueForm::kAffine:  // gain and shift are learned when a value replaces the one before
      return 1;
    case ValueForm::kTaylor1:
      return 2;
    case ValueForm::kTaylor2:
      return 3;
  }
  return 1;
}

DifferenceWeights newton_weights(const std::vector<double>& times, double time) {
  // F(t) = F0 + (t - t0) F[0,1] + (t - t0)(t - t1) F[0,1,2] with the divided differences F[.], sorted by F0 - F1 and
  // F1 - F2.
  const double near_gap = times[0] - times[1];
  const double age = time - times[0];
  if (near_gap == 0.0 || !std::isfinite(near_gap) || !std::isfinite(age)) {
    return {};
  }
  DifferenceWeights weights{.near = age / near_gap};
  if (times.size() < 3) {
    return weights;
  }
  const double far_gap = times[1] - times[2];
  const double span = times[0] - times[2];
  if (far_gap == 0.0 || span == 0.0 || !std::isfinite(far_gap)) {
    return weights;
  }
  const double curve = age * (time - times[1]) / span;
  weights.near += curve / near_gap;
  weights.far = -curve / far_gap;
  return weights;
}

}  // namespace asdm
