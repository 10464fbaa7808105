// Python values to node values and back.
#pragma once

#include <pybind11/pybind11.h>

#include <map>
#include <string>

#include "nodes/inputs.h"
#include "nodes/schema.h"

namespace asdm::python {

/// Inputs by name. A linked value becomes a handle, None means "not given". Throws Error naming "<node id>.<input>" for
/// what fits no kind.
[[nodiscard]] std::map<std::string, nodes::Value> values_from_python(const nodes::NodeSchema& schema,
                                                                     const pybind11::dict& inputs);

/// A handle gives back its object.
[[nodiscard]] pybind11::object value_to_python(nodes::Value value);

}  // namespace asdm::python
