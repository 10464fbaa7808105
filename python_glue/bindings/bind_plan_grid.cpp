// Bindings of native/planning/plan_grid.h.
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "native/planning/plan_grid.h"
#include "native/unet/topology.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

py::dict grid_of(const Plan& plan, const UNetSpec& spec, int64_t height, int64_t width, int64_t tokens) {
  const PlanGrid grid = plan_grid(plan, make_topology(spec), spec, CallSize{height, width, tokens});
  py::list rows;
  for (const GridRow& row : grid.rows) {
    rows.append(py::dict(py::arg("address") = row.address, py::arg("site") = row.site));
  }
  py::list columns;
  for (const GridColumn& column : grid.columns) {
    columns.append(py::dict(py::arg("sigma") = column.sigma, py::arg("actions") = column.actions,
                            py::arg("sites") = column.sites, py::arg("others") = column.others,
                            py::arg("is_refreshed") = column.is_refreshed));
  }
  return py::dict(py::arg("rows") = rows, py::arg("columns") = columns, py::arg("share") = grid.share);
}

Plan painted_by(const Plan& plan, const UNetSpec& spec, size_t evaluation, const std::string& site, bool inherits) {
  return painted(plan, make_topology(spec), spec, evaluation, site, inherits);
}

}  // namespace

void init_plan_grid(py::module_& m) {
  m.def("plan_grid", &grid_of, py::arg("plan"), py::arg("spec"), py::arg("height"), py::arg("width"), py::arg("tokens"),
        "{rows: [{address, site}], columns: [{sigma, actions, sites, others, is_refreshed}], share}: what a run by "
        "`plan` does, block by evaluation. ValueError for sites that the UNet does not have.");
  m.def("painted_plan", &painted_by, py::arg("plan"), py::arg("spec"), py::arg("evaluation"), py::arg("site"),
        py::arg("inherits"), "`plan` with one cell of that grid changed. ValueError where that cannot be.");
  m.def(
      "begun_plan", [](const UNetSpec& spec, int64_t steps) { return begun_plan(make_topology(spec), spec, steps); },
      py::arg("spec"), py::arg("steps"), "A plan to begin with.");
}

}  // namespace asdm::python
