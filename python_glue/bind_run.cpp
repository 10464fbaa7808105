// Bindings of native/inheritance: the state of one sampling run.
#include <optional>
#include <string>
#include <vector>

#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include "native/inheritance/run.h"
#include "python_glue/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

InheritanceSettings settings_from(std::vector<NodeId> sites, const std::string& mode, int64_t interval,
                                  int64_t full_evaluations, double start_percent, double end_percent,
                                  int64_t max_age) {
  return {.sites = std::move(sites),
          .time_steps = {.mode = time_step_mode_from(mode), .interval = interval, .full_evaluations = full_evaluations},
          .start_percent = start_percent,
          .end_percent = end_percent,
          .max_age = max_age};
}

py::dict to_dict(const RunRecord& record) {
  py::dict out;
  out["evaluations"] = record.evaluations;
  out["full"] = record.full;
  out["inherited"] = record.inherited;
  out["forced_refreshes"] = record.forced_refreshes;
  out["computed_nodes"] = record.computed_nodes;
  out["inherited_nodes"] = record.inherited_nodes;
  out["calls"] = record.calls;
  out["peak_cache_bytes"] = record.peak_cache_bytes;
  return out;
}

}  // namespace

void init_run(py::module_& m) {
  py::class_<InheritanceSettings>(m, "InheritanceSettings", "What is inherited, and when.")
      .def(py::init(&settings_from), py::kw_only(), py::arg("sites"), py::arg("mode"), py::arg("interval"),
           py::arg("full_evaluations"), py::arg("start_percent"), py::arg("end_percent"), py::arg("max_age"));
  py::class_<CallFeatures>(m, "CallFeatures", "Features that one call inherits, and those that it computed.")
      .def(py::init<>())
      .def_property_readonly("inherits", &CallFeatures::inherits)
      .def_property_readonly("wanted_nodes", &CallFeatures::wanted_nodes, "Nodes whose values are kept.")
      .def_property_readonly("inherited_values", &CallFeatures::inherited_values, "{node: value for the whole batch}")
      .def_property_readonly("kept_values", &CallFeatures::kept_values, "{node: value for the whole batch}")
      .def("on", &CallFeatures::on, py::arg("buffers"), "This call, before it runs, on other memory: it inherits `buffers`.")
      .def("repeat", &CallFeatures::repeat, py::arg("captured"), py::arg("kept"),
           "Books that the work of `captured`, a call of this kind, was done again for this one, and left `kept` behind.")
      .def_property_readonly("computed_nodes", &CallFeatures::computed_nodes);
  py::class_<Run>(m, "Run", "State of one sampling run.")
      .def(py::init<std::optional<InheritanceSettings>, std::vector<double>, int64_t>(), py::arg("settings"),
           py::arg("sigmas"), py::arg("nodes"))
      .def("begin_evaluation", &Run::begin_evaluation, py::arg("sigma"))
      .def("begin_call", &Run::begin_call, py::arg("keys"), py::call_guard<py::gil_scoped_release>())
      .def("end_call", &Run::end_call, py::arg("call"))
      .def("release", &Run::release)
      .def_property_readonly("record", [](const Run& run) { return to_dict(run.record()); });
}

}  // namespace asdm::python
