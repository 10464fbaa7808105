// Time-step modes: which evaluations of a window are full. Pure functions of their arguments, so that tests are tables.
// docs/time_step_modes.md describes each mode to users; the rules themselves are in placement.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "native/format/choices.h"

namespace asdm {

/// Where the full evaluations fall. All indices are 0-based in the window.
struct TimeStepSettings {
  TimeStepMode mode = TimeStepMode::kUniform;
  /// Evaluations per full one; 1 = all full. The growing modes begin with this gap; front, triangular and explicit have
  /// their own lists instead.
  int64_t interval = 1;
  int64_t full_evaluations = 0;       ///< > 0: exactly this many in the window, the guarded ones among them
  std::vector<int64_t> full_at = {};  ///< explicit: these are full, rising; 0 is full in any case
  int64_t first_full = 0;             ///< guard: this many at the start are full
  int64_t last_full = 0;              ///< guard: this many before the window's expected end are full
  double threshold = 0.0;             ///< of the controllers; placement does not use it
};

/// Throws Error where the settings make no sense.
void check(const TimeStepSettings& settings);

/// What a user writes for `full_at`: indices ("0, 3, 6", separated by commas, blanks or line breaks) or a mask
/// ("1001001": two characters or more, nothing but 0 and 1; "10" is a mask, evaluation 10 alone is "0, 10").
/// Gives rising indices that begin with 0. Throws Error for anything else.
[[nodiscard]] std::vector<int64_t> full_at_from(std::string_view text);

/// The full evaluations of one window.
class TimeStepPattern {
 public:
  /// `window_sigmas`: one per expected evaluation of the window, in order; not empty where anything shall be placed by
  /// count. Throws Error where the settings make no sense, or where a mode that reads the sigmas meets one that is
  /// negative or no number.
  TimeStepPattern(const TimeStepSettings& settings, const std::vector<double>& window_sigmas);

  /// Whether evaluation `index` of the window is full; the first always is. Past the expected end (samplers that
  /// evaluate more than once a step) the interval goes on where one was given, else the share of full evaluations.
  [[nodiscard]] bool is_full(int64_t index) const;

  /// Whether any evaluation is not full, so that storing features serves somebody.
  [[nodiscard]] bool inherits() const;

  /// Indices of the full evaluations of the expected window, rising. `explicit` also has those listed past its end.
  [[nodiscard]] const std::vector<int64_t>& full_evaluations() const noexcept { return full_; }

 private:
  /// What is full past the expected end.
  enum class Beyond { kShare, kInterval, kNothing };

  std::vector<int64_t> full_;
  int64_t end_ = 0;  ///< indices below it are decided by `full_`
  int64_t first_full_ = 0;
  Beyond beyond_ = Beyond::kShare;
  int64_t interval_ = 1;
  int64_t interval_start_ = 0;  ///< the evaluation from which `interval_` is counted
};

}  // namespace asdm
