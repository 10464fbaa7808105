// What bindings of native/format share with the host's adapter.
#pragma once

#include <pybind11/pybind11.h>

#include "native/format/unet_file.h"

namespace asdm::python {

/// {"spec", "carries_spec", "names"} of `file`.
[[nodiscard]] pybind11::dict layout_of(const UNetFile& file);

}  // namespace asdm::python
