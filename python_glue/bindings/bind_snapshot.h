#pragma once

#include <pybind11/pybind11.h>

namespace asdm::python {

/// What objects of Python were, and whether they are that still.
void init_snapshot(pybind11::module_& m);

}  // namespace asdm::python
