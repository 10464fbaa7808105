// The rooms of the Python module; module.cpp is its table of contents.
#pragma once

#include <pybind11/pybind11.h>

namespace asdm::python {

void init_errors(pybind11::module_& m);
void init_log(pybind11::module_& m);
void init_format(pybind11::module_& m);
void init_nodes(pybind11::module_& m);
void init_unet(pybind11::module_& m);
void init_run(pybind11::module_& m);
void init_settings(pybind11::module_& m);
void init_plan_grid(pybind11::module_& m);
void init_plan_search(pybind11::module_& m);
void init_switching(pybind11::module_& m);
void init_assembly(pybind11::module_& m);
void init_distillation(pybind11::module_& m);

}  // namespace asdm::python
