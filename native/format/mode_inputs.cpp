#include "native/format/mode_inputs.h"

#include <algorithm>

#include "native/format/choices.h"

namespace asdm {
namespace {

std::vector<std::string_view> ignored_by(TimeStepMode mode) {
  switch (mode) {
    case TimeStepMode::kFront:
    case TimeStepMode::kTriangular:
      return {"interval", "threshold", "full_at"};
    case TimeStepMode::kExplicit:
      return {"interval", "full_evaluations", "threshold"};
    case TimeStepMode::kAdaptive:
      return {"interval", "full_at"};
    case TimeStepMode::kEasyCache:
      return {"interval", "full_evaluations", "full_at"};
    default:
      return {"threshold", "full_at"};
  }
}

}  // namespace

std::vector<std::string> modes_that_read(std::string_view input) {
  std::vector<std::string> names = time_step_mode_names();
  std::erase_if(names, [&](const std::string& name) {
    const std::vector<std::string_view> ignored = ignored_by(time_step_mode_from(name));
    return std::find(ignored.begin(), ignored.end(), input) != ignored.end();
  });
  return names;
}

std::vector<std::string> modes_of_interval_and_count() { return {"growing", "growing_published"}; }

}  // namespace asdm
