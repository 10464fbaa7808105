// What stands in for a feature that is not computed: its last value, or a forecast from the last few.
#pragma once

#include <cstdint>
#include <vector>

#include "native/format/choices.h"
#include "native/inheritance/evaluation_point.h"

namespace asdm {

/// How values are kept and made.
struct ValueSettings {
  ValueForm form = ValueForm::kHold;
  Storage storage = Storage::kCompute;
};

/// Values that a form looks back on.
[[nodiscard]] int64_t snapshots_of(ValueForm form);

/// Weights of the differences F0 - F1 and F1 - F2 in a forecast F0 + near * (F0 - F1) + far * (F1 - F2).
struct DifferenceWeights {
  double near = 0.0;
  double far = 0.0;
};

/// Newton's interpolation through values taken at `times` (the newest first; two or three of them), read at `time`.
/// With even spacing this is TaylorSeer's expansion with backward differences; the true spacing makes it hold for
/// samplers and modes whose full evaluations are unevenly far apart. No weights where two times coincide.
[[nodiscard]] DifferenceWeights newton_weights(const std::vector<double>& times, double time);

/// What forecasts take for time: the index of the evaluation. The log signal-to-noise ratio came out worse
/// (docs/time_step_modes.md).
[[nodiscard]] inline double time_of(const EvaluationPoint& point) { return static_cast<double>(point.evaluation); }

}  // namespace asdm
