// What native/assembly decides, as Python takes it.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "native/assembly/me_cond_conv_start.h"

namespace asdm::python {

/// [{"leaf", "from", "of_teacher", "perturbation", "seed", "bias", "shares", "beside"}]
pybind11::list starts_of(const std::vector<LeafStart>& leaves);

}  // namespace asdm::python
