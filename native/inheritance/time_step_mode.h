// Time-step modes: which evaluations of a window are full. Pure functions of their arguments, so that tests are tables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace asdm {

enum class TimeStepMode { kUniform };

[[nodiscard]] TimeStepMode time_step_mode_from(std::string_view name);
[[nodiscard]] std::vector<std::string> time_step_mode_names();

/// Where the full evaluations fall.
struct TimeStepSettings {
  TimeStepMode mode = TimeStepMode::kUniform;
  int64_t interval = 1;          ///< uniform: evaluation i is full where i mod interval = 0; 1 = all full
  int64_t full_evaluations = 0;  ///< > 0: this many, evenly spread over `total`; replaces `interval`
};

/// Whether evaluation `index` (0-based, in the window) of about `total` is full. Evaluation 0 always is.
/// Past `total` (samplers that evaluate more than once a step) the same density goes on.
[[nodiscard]] bool is_full_evaluation(const TimeStepSettings& settings, int64_t index, int64_t total);

/// Whether any evaluation is not full, so that storing features serves somebody.
[[nodiscard]] bool inherits(const TimeStepSettings& settings, int64_t total);

/// Throws Error where the settings make no sense.
void check(const TimeStepSettings& settings);

}  // namespace asdm
