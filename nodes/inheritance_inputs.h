// The widgets that say what is inherited and when, with the same words in every node that has them.
#pragma once

#include <string>
#include <vector>

#include "nodes/host.h"
#include "nodes/inputs.h"
#include "nodes/schema.h"

namespace asdm::nodes {

/// In the order of the widgets, which workflows depend on: new ones are optional and come last.
[[nodiscard]] std::vector<InputSchema> inheritance_inputs();

/// The values of these widgets. Throws Error naming the input where values make no sense together.
[[nodiscard]] InheritanceRequest read_inheritance(const Inputs& inputs);

/// A text input for the JSON of a plan.
[[nodiscard]] InputSchema plan_input(std::string tooltip);

/// The plan in the text input `name`. Throws Error naming the input, and the path inside the JSON.
[[nodiscard]] Plan read_plan(const Inputs& inputs, const std::string& name);

}  // namespace asdm::nodes
