// The weights of a hosted model: plain tensors where the host has them at hand, a callback where it must cast or patch.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "native/layers/weight_source.h"

namespace asdm::python {

/// Registers WeightSource and HostWeights.
void bind_weights(pybind11::module_& m);

}  // namespace asdm::python
