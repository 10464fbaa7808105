// Bindings of what a user asks for: settings of inheritance, plans, and what they mean on a UNet.
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "native/format/choices.h"
#include "native/format/inheritance_request.h"
#include "native/format/plan.h"
#include "native/planning/resolved_settings.h"
#include "native/unet/unet.h"
#include "python_glue/bindings/field_values.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

/// Settings for a Run; errors happened inside of `where`, unless that is empty.
template <class Asked>
InheritanceSettings resolved(const UNet& unet, const Asked& asked, const std::string& where) {
  try {
    return settings_of(asked, unet.topology(), unet.spec());
  } catch (const Error& error) {
    throw where.empty() ? error : error.inside(where);
  }
}

/// Through the reader, so that what is recorded can be replayed.
Plan checked_plan(const std::string& family, int64_t steps, const std::string& value, const std::string& storage,
                  const std::vector<std::pair<double, std::vector<std::string>>>& evaluations) {
  Plan plan{family, steps, value, storage, {}};
  for (const auto& [sigma, sites] : evaluations) {
    plan.evaluations.push_back({sigma, sites});
  }
  return plan_from_json(to_json(plan));
}

}  // namespace

void init_settings(py::module_& m) {
  py::class_<InheritanceRequest> request(m, "InheritanceRequest",
                                         "Settings of feature inheritance as users write them, by the names of the "
                                         "nodes' inputs.");
  request.def(py::init([](const py::kwargs& given) { return from_kwargs<InheritanceRequest>("inheritance", given); }));
  def_fields(request);
  py::class_<Plan>(m, "Plan", "What each evaluation of a run inherits (docs/plan.md).")
      .def(py::init(&checked_plan), py::kw_only(), py::arg("family"), py::arg("steps"), py::arg("value") = Plan().value,
           py::arg("storage") = Plan().storage, py::arg("evaluations"),
           "`evaluations`: [(sigma, [address])]. ValueError naming what a plan cannot hold.")
      .def_static("from_json", &plan_from_json, py::arg("json"), "ValueError naming the path inside the JSON.")
      .def("json", [](const Plan& plan) { return to_json(plan); })
      .def_readonly("family", &Plan::family)
      .def_readonly("steps", &Plan::steps)
      .def_readonly("value", &Plan::value)
      .def_readonly("storage", &Plan::storage)
      .def_property_readonly("sigmas",
                             [](const Plan& plan) {
                               std::vector<double> sigmas;
                               for (const PlanEvaluation& evaluation : plan.evaluations) {
                                 sigmas.push_back(evaluation.sigma);
                               }
                               return sigmas;
                             })
      .def_property_readonly(
          "sites",
          [](const Plan& plan) {
            std::vector<std::vector<std::string>> sites;
            for (const PlanEvaluation& evaluation : plan.evaluations) {
              sites.push_back(evaluation.sites);
            }
            return sites;
          },
          "For each evaluation the addresses that it inherits, none where it is full.")
      .def("__eq__", [](const Plan& plan, const Plan& other) { return plan == other; }, py::is_operator());
  m.def("speed_names", &speed_names);
  m.def("speed_from", &speed_from, py::arg("name"),
        "How many times less work the name of a speed asks for; None for \"custom\".");
  m.def("idle_settings", &idle_settings, py::arg("request"), py::arg("evaluations"),
        "What of a request cannot matter in a run of so many evaluations, in a sentence each.");
  py::class_<InheritanceSettings>(m, "InheritanceSettings", "What is inherited, and when, on one UNet.")
      .def(py::init(&resolved<InheritanceRequest>), py::arg("unet"), py::arg("asked"), py::arg("where") = "",
           "ValueError listing the known names for an unknown one; `where`: what errors begin with.")
      .def(py::init(&resolved<Plan>), py::arg("unet"), py::arg("asked"), py::arg("where") = "");
}

}  // namespace asdm::python
