// What stands in for a feature that is not computed: its last value, or a forecast from the last few.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/inheritance/moment.h"

namespace asdm {

enum class ValueForm {
  kHold,     ///< the last value
  kTaylor1,  ///< along the line through the last two values (TaylorSeer, order 1)
  kTaylor2,  ///< along the parabola through the last three (TaylorSeer, order 2)
  kAffine    ///< the gain and shift of each channel between the last two, once more (Block Caching's scale-shift)
};
[[nodiscard]] ValueForm value_form_from(std::string_view name);
[[nodiscard]] std::vector<std::string> value_form_names();

/// Where stored features lie.
enum class Storage {
  kCompute,  ///< as they were computed
  kBf16,     ///< in bfloat16: half of fp32's bytes
  kCpu,      ///< in main memory
  kCpuBf16
};
[[nodiscard]] Storage storage_from(std::string_view name);
[[nodiscard]] std::vector<std::string> storage_names();

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
[[nodiscard]] inline double time_of(const Moment& moment) { return static_cast<double>(moment.evaluation); }

}  // namespace asdm
