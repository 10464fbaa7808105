#include "native/inheritance/time_step_mode.h"

#include <algorithm>

#include "native/base/error.h"

namespace asdm {

std::vector<std::string> time_step_mode_names() { return {"uniform"}; }

TimeStepMode time_step_mode_from(std::string_view name) {
  if (name == "uniform") {
    return TimeStepMode::kUniform;
  }
  throw unknown_name("mode", name, time_step_mode_names());
}

void check(const TimeStepSettings& settings) {
  if (settings.interval < 1) {
    throw invalid_input("interval", "at least 1 (1 inherits nothing)", std::to_string(settings.interval));
  }
  if (settings.full_evaluations < 0) {
    throw invalid_input("full_evaluations", "0 (from interval) or more", std::to_string(settings.full_evaluations));
  }
}

bool inherits(const TimeStepSettings& settings, int64_t total) {
  return settings.full_evaluations == 0 ? settings.interval > 1 : settings.full_evaluations < total;
}

bool is_full_evaluation(const TimeStepSettings& settings, int64_t index, int64_t total) {
  if (index <= 0) {
    return true;
  }
  if (settings.full_evaluations == 0) {
    return index % settings.interval == 0;
  }
  // The j-th full evaluation is the first index with floor(index * full / total) = j.
  const int64_t span = std::max<int64_t>(total, 1);
  const int64_t full = std::min(settings.full_evaluations, span);
  return index * full / span != (index - 1) * full / span;
}

}  // namespace asdm
