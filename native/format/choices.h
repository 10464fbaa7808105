// Choices of feature inheritance, by the names that users, workflows and plans know them by.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace asdm {

/// How large the inherited parts are.
enum class SiteLevel { kBlock, kLayer, kUnit };

/// The rule that places full evaluations (docs/time_step_modes.md).
enum class TimeStepMode {
  kSegment,  ///< placed as kUniform; "auto" stands for sites that change from phase to phase
  kUniform,
  kFront,
  kTriangular,
  kQuadratic,
  kCentre,
  kCentrePublished,
  kGrowing,
  kGrowingPublished,
  kExplicit,
  kLogSnr,
  kEqualChange,
  kAdaptive,   ///< a controller decides as the run goes; only the guards are placed
  kEasyCache,  ///< likewise
};

/// What stands in for a feature that is not computed.
enum class ValueForm {
  kHold,     ///< the last value
  kTaylor1,  ///< along the line through the last two values (TaylorSeer, order 1)
  kTaylor2,  ///< along the parabola through the last three (TaylorSeer, order 2)
  kAffine    ///< the gain and shift of each channel between the last two, once more (Block Caching's scale-shift)
};

/// Where stored features lie.
enum class Storage {
  kCompute,  ///< as they were computed
  kBf16,     ///< in bfloat16: half of fp32's bytes
  kCpu,      ///< in main memory
  kCpuBf16
};

// The choice of a name, and all names in the order in which they are offered. Throws Error that lists the known ones
// for another one.
[[nodiscard]] SiteLevel site_level_from(std::string_view name);
[[nodiscard]] TimeStepMode time_step_mode_from(std::string_view name);
[[nodiscard]] ValueForm value_form_from(std::string_view name);
[[nodiscard]] Storage storage_from(std::string_view name);
[[nodiscard]] std::string name_of(ValueForm form);
[[nodiscard]] std::vector<std::string> site_level_names();
[[nodiscard]] std::vector<std::string> time_step_mode_names();
[[nodiscard]] std::vector<std::string> value_form_names();
[[nodiscard]] std::vector<std::string> storage_names();

/// What the name of a speed asks for: how many times less work; 1 for "exact", none for "custom".
[[nodiscard]] std::optional<double> speed_from(std::string_view name);
[[nodiscard]] std::vector<std::string> speed_names();

}  // namespace asdm
