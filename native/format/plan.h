// A plan: what each evaluation of a sampling run inherits, as data that travels in workflows and pictures.
// Knows names alone: whether a UNet has the sites is for the UNet to say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace asdm {

/// One evaluation of the model.
struct PlanEvaluation {
  double sigma = 0.0;              ///< noise level at which the recorded run made it
  std::vector<std::string> sites;  ///< addresses that inherit; none = a full evaluation

  bool operator==(const PlanEvaluation&) const = default;
};

/// Followed by index: the i-th evaluation of a run inherits what the i-th of the plan does.
struct Plan {
  std::string family = "sd1";       ///< of the UNet that it was made for, as in a UNetSpec
  int64_t steps = 1;                ///< of the schedule that it was made for
  std::string value = "hold";       ///< stand-in for what is not computed, one of value_form_names()
  std::string storage = "compute";  ///< how features are kept, one of storage_names()
  std::vector<PlanEvaluation> evaluations;

  bool operator==(const Plan&) const = default;
};

/// The JSON of docs/plan.md, one evaluation a line, so that it can be read and edited as text.
[[nodiscard]] std::string to_json(const Plan& plan);
/// Throws Error naming the path inside the JSON ("plan.evaluations[3].sites[0]") for everything that docs/plan.md
/// does not allow; unknown, missing and repeated keys are errors.
[[nodiscard]] Plan plan_from_json(std::string_view json);

}  // namespace asdm
