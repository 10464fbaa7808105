// The Python module _native: a table of contents.
#include "python_glue/bindings/module.h"

#include <torch/version.h>

#include <string>

#include "python_glue/bindings/bind_snapshot.h"

namespace py = pybind11;

namespace {

py::dict build_info() {
  py::dict info;
  info["torch"] = TORCH_VERSION;
  info["python"] = std::to_string(PY_MAJOR_VERSION) + "." + std::to_string(PY_MINOR_VERSION);
  info["version"] = ASDM_VERSION;
  return info;
}

}  // namespace

PYBIND11_MODULE(_native, m) {
  m.doc() = "The native core of ComfyUI-ASDM. Import torch first: the module links against the libraries it loads.";
  m.def("build_info", &build_info, "What this module was built with: {torch, python, version}.");
  asdm::python::init_errors(m);
  asdm::python::init_log(m);
  asdm::python::init_format(m);
  asdm::python::init_nodes(m);
  asdm::python::init_unet(m);
  asdm::python::init_settings(m);
  asdm::python::init_snapshot(m);
  asdm::python::init_run(m);
  asdm::python::init_plan_grid(m);
  asdm::python::init_plan_search(m);
  asdm::python::init_switching(m);
  asdm::python::init_assembly(m);
  asdm::python::init_distillation(m);
}
