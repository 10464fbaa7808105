// Parts of a UNet that the host's own modules compute, called through Python.
#pragma once

#include <pybind11/pybind11.h>

namespace asdm::python {

/// Registers HostModules.
void bind_host_modules(pybind11::module_& m);

}  // namespace asdm::python
