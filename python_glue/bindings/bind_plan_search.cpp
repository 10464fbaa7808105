// Bindings of native/planning/plan_search.h.
#include <pybind11/stl.h>

#include <memory>
#include <utility>
#include <vector>

#include "native/planning/least_loss.h"
#include "native/planning/plan_search.h"
#include "native/unet/unet.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

py::list tried(const PlanSearch& search) {
  py::list out;
  for (const PlanTrial& trial : search.trials()) {
    py::dict entry;
    entry["sites"] = trial.sites;
    entry["speedup"] = search.speedup(trial);
    entry["psnr"] = trial.psnr;
    out.append(std::move(entry));
  }
  return out;
}

}  // namespace

void init_plan_search(py::module_& m) {
  py::class_<PlanSearch>(m, "PlanSearch",
                         "Looks for the plan that stays closest to the exact result at a wanted speed.")
      .def(py::init([](const UNet& unet, std::vector<double> sigmas, int64_t height, int64_t width, int64_t tokens,
                       double target_speedup) {
             return std::make_unique<PlanSearch>(unet.topology(), unet.spec(), std::move(sigmas),
                                                 CallSize{height, width, tokens}, target_speedup);
           }),
           py::kw_only(), py::arg("unet"), py::arg("sigmas"), py::arg("height"), py::arg("width"), py::arg("tokens"),
           py::arg("target_speedup"))
      .def("add_full_run", &PlanSearch::add_full_run, py::arg("seconds"), "A run without inheritance took `seconds`.")
      .def("next", &PlanSearch::next, "For each evaluation the sites of the plan to run next; None at the end.")
      .def("add_trial", &PlanSearch::add_trial, py::arg("seconds"), py::arg("psnr"), "What came of that plan.")
      .def_property_readonly("trials", &tried, "[{sites, speedup, psnr}], in the order of the runs.")
      .def_property_readonly("best", &PlanSearch::best, "Index of the closest trial that reaches the target.")
      .def_property_readonly(
          "reached", [](const PlanSearch& search) { return search.reaches_target(search.trials().at(search.best())); },
          "Whether that trial is as fast as was asked; else it is the fastest.");
  py::class_<LossTable>(m, "LossTable", "What inheriting loses, by site and noise level.")
      .def_static("from_json", &loss_table_from_json, py::arg("text"))
      .def_readonly("pull", &LossTable::pull, "How much each unit of guidance above 1 lowers that denoiser's slope.")
      .def_readonly("spread", &LossTable::spread,
                    "Deviation of the Gaussian that carries misses on as the model does.");
  py::class_<LeastLossPlan>(m, "LeastLossPlan", "The plan of least predicted loss.")
      .def_readonly("sites", &LeastLossPlan::sites, "For each evaluation the sites that it inherits.")
      .def_readonly("share", &LeastLossPlan::share, "Of a full run's multiply-accumulates.")
      .def_readonly("psnr", &LeastLossPlan::psnr, "Predicted, dB between final latents.");
  m.def(
      "least_loss_plan",
      [](const LossTable& table, const UNet& unet, const std::vector<std::pair<double, double>>& evaluations,
         int64_t height, int64_t width, int64_t tokens, double speedup) {
        std::vector<CarriedEvaluation> run;
        for (const auto& [sigma, carry] : evaluations) {
          run.push_back({sigma, carry});
        }
        return least_loss_plan(table, unet.topology(), run, CallSize{height, width, tokens}, speedup);
      },
      py::arg("table"), py::arg("unet"), py::arg("evaluations"), py::arg("height"), py::arg("width"), py::arg("tokens"),
      py::arg("speedup"), "`evaluations`: (sigma, carry) of each.");
}

}  // namespace asdm::python
