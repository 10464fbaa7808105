// Bindings of what plans are searched with: plans of least loss, and losses that are fitted to what plans lost.
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "native/format/effort.h"
#include "native/planning/fitted_losses.h"
#include "native/planning/segment_plan.h"
#include "native/unet/unet.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

/// (sigma, carry, offset, [renewed since each before]) of each evaluation.
using Evaluations = std::vector<std::tuple<double, double, double, std::vector<double>>>;

std::vector<CarriedEvaluation> carried(const Evaluations& evaluations) {
  std::vector<CarriedEvaluation> run;
  for (const auto& [sigma, carry, offset, renewed] : evaluations) {
    run.push_back({sigma, carry, offset, renewed});
  }
  return run;
}

LossTable fitted(const LossTable& table, const UNet& unet, const Evaluations& evaluations, int64_t height,
                 int64_t width, int64_t tokens, const std::vector<std::tuple<PlanSites, double, std::string>>& measured,
                 double doubt) {
  std::vector<MeasuredPlan> plans;
  for (const auto& [sites, psnr, value] : measured) {
    plans.push_back({sites, psnr, value_form_from(value)});
  }
  return fitted_losses(table, unet.topology(), carried(evaluations), CallSize{height, width, tokens}, plans, doubt);
}

void bind_loss_table(py::module_& m) {
  py::class_<LossTable>(m, "LossTable", "What inheriting loses, by site and noise level.")
      .def_static("from_json", &loss_table_from_json, py::arg("text"))
      .def("fitted", &fitted, py::call_guard<py::gil_scoped_release>(), py::kw_only(), py::arg("unet"),
           py::arg("evaluations"), py::arg("height"), py::arg("width"), py::arg("tokens"), py::arg("measured"),
           py::arg("doubt"), "With levels that explain `measured`, the (sites, dB, value) of plans that were run.")
      .def_readonly("pull", &LossTable::pull, "How much each unit of guidance above 1 lowers that denoiser's slope.")
      .def_readonly("spread", &LossTable::spread,
                    "Deviation of the Gaussian that carries misses on as the model does.");
}

}  // namespace

void init_plan_search(py::module_& m) {
  m.def("effort_names", &effort_names);
  m.def("runs_from", &runs_from, py::arg("effort"), "Runs that looking for a plan may take.");
  bind_loss_table(m);
  py::class_<LeastLossPlan>(m, "LeastLossPlan", "The plan of least predicted loss.")
      .def_readonly("sites", &LeastLossPlan::sites, "For each evaluation the sites that it inherits.")
      .def_property_readonly(
          "value", [](const LeastLossPlan& plan) { return name_of(plan.value); }, "What stands in.")
      .def_readonly("share", &LeastLossPlan::share, "Of a full run's multiply-accumulates.")
      .def_readonly("psnr", &LeastLossPlan::psnr, "Predicted, dB between final latents.");
  m.def(
      "least_loss_plan",
      [](const LossTable& table, const UNet& unet, const Evaluations& evaluations, int64_t height, int64_t width,
         int64_t tokens, double speedup, bool may_forecast) {
        return least_loss_plan(table, unet.topology(), carried(evaluations), CallSize{height, width, tokens}, speedup,
                               may_forecast);
      },
      py::call_guard<py::gil_scoped_release>(),  // many evaluations take a while, in which the server is to answer
      py::arg("table"), py::arg("unet"), py::arg("evaluations"), py::arg("height"), py::arg("width"), py::arg("tokens"),
      py::arg("speedup"), py::arg("may_forecast"),
      "`evaluations`: (sigma, carry, offset, [renewed since each before]) of each.");
  py::class_<SegmentPlan>(m, "SegmentPlan", "The plan of mode `segment` with sites `auto`.")
      .def_readonly("sites", &SegmentPlan::sites, "For each evaluation the sites that it inherits.")
      .def_property_readonly(
          "value", [](const SegmentPlan&) { return name_of(ValueForm::kHold); }, "What stands in.")
      .def_readonly("share", &SegmentPlan::share, "Of a full run's multiply-accumulates.");
  m.def(
      "segment_plan",
      [](const UNet& unet, const std::vector<double>& sigmas, int64_t height, int64_t width, int64_t tokens,
         double speedup) {
        return segment_plan(unet.topology(), unet.spec(), sigmas, CallSize{height, width, tokens}, speedup);
      },
      py::arg("unet"), py::arg("sigmas"), py::arg("height"), py::arg("width"), py::arg("tokens"), py::arg("speedup"),
      "With as many full evaluations as that speed allows; with one where none does.");
}

}  // namespace asdm::python
