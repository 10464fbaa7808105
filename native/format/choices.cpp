#include "native/format/choices.h"

#include <array>
#include <utility>

#include "native/base/name_table.h"

namespace asdm {
namespace {

constexpr std::array kLevels = {std::pair{"block", SiteLevel::kBlock}, std::pair{"layer", SiteLevel::kLayer},
                                std::pair{"unit", SiteLevel::kUnit}};
constexpr std::array kModes = {
    std::pair{"segment", TimeStepMode::kSegment},
    std::pair{"uniform", TimeStepMode::kUniform},
    std::pair{"front", TimeStepMode::kFront},
    std::pair{"triangular", TimeStepMode::kTriangular},
    std::pair{"quadratic", TimeStepMode::kQuadratic},
    std::pair{"centre", TimeStepMode::kCentre},
    std::pair{"centre_published", TimeStepMode::kCentrePublished},
    std::pair{"growing", TimeStepMode::kGrowing},
    std::pair{"growing_published", TimeStepMode::kGrowingPublished},
    std::pair{"explicit", TimeStepMode::kExplicit},
    std::pair{"log_snr", TimeStepMode::kLogSnr},
    std::pair{"equal_change", TimeStepMode::kEqualChange},
    std::pair{"adaptive", TimeStepMode::kAdaptive},
    std::pair{"easycache", TimeStepMode::kEasyCache},
};
constexpr std::array kForms = {std::pair{"hold", ValueForm::kHold}, std::pair{"taylor1", ValueForm::kTaylor1},
                               std::pair{"taylor2", ValueForm::kTaylor2}, std::pair{"affine", ValueForm::kAffine}};
constexpr std::array kStorages = {std::pair{"compute", Storage::kCompute}, std::pair{"bf16", Storage::kBf16},
                                  std::pair{"cpu", Storage::kCpu}, std::pair{"cpu_bf16", Storage::kCpuBf16}};
constexpr std::array kSpeeds = {std::pair{"custom", std::optional<double>()}, std::pair{"exact", std::optional(1.0)},
                                std::pair{"1.5x", std::optional(1.5)},        std::pair{"2x", std::optional(2.0)},
                                std::pair{"2.5x", std::optional(2.5)},        std::pair{"3x", std::optional(3.0)}};

}  // namespace

SiteLevel site_level_from(std::string_view name) { return value_named(kLevels, "level", name); }
TimeStepMode time_step_mode_from(std::string_view name) { return value_named(kModes, "mode", name); }
ValueForm value_form_from(std::string_view name) { return value_named(kForms, "value", name); }
Storage storage_from(std::string_view name) { return value_named(kStorages, "storage", name); }
std::string name_of(ValueForm form) { return std::string(name_of(kForms, form)); }
std::vector<std::string> site_level_names() { return names_of(kLevels); }
std::vector<std::string> time_step_mode_names() { return names_of(kModes); }
std::vector<std::string> value_form_names() { return names_of(kForms); }
std::vector<std::string> storage_names() { return names_of(kStorages); }
std::optional<double> speed_from(std::string_view name) { return value_named(kSpeeds, "speed", name); }
std::vector<std::string> speed_names() { return names_of(kSpeeds); }

}  // namespace asdm
