// Bindings of native/switching: which UNet makes which evaluations.
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "native/switching/unet_schedule.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

using Pairs = std::vector<std::pair<int64_t, double>>;

std::vector<UNetShare> to_chain(const Pairs& pairs) {
  std::vector<UNetShare> chain;
  for (const auto& [unet, until] : pairs) {
    chain.push_back({unet, until});
  }
  return chain;
}

Pairs switched(const Pairs& early, int64_t early_unets, const Pairs& late, double share) {
  Pairs pairs;
  for (const UNetShare& entry : switched_chain(to_chain(early), early_unets, to_chain(late), share)) {
    pairs.emplace_back(entry.unet, entry.until);
  }
  return pairs;
}

}  // namespace

void init_switching(py::module_& m) {
  m.def("switched_chain", &switched, py::arg("early"), py::arg("early_unets"), py::arg("late"), py::arg("share"),
        "The chain [(number of the UNet, share of the run until which it runs)] in which `early` runs for the first "
        "`share` of a run and `late` after; the UNets of `late` are numbered after those of `early`.");
  py::class_<UNetSchedule>(m, "UNetSchedule", "A chain of UNets on the schedule of one run.")
      .def(py::init([](const Pairs& chain, std::vector<double> sigmas) {
             return UNetSchedule(to_chain(chain), std::move(sigmas));
           }),
           py::arg("chain"), py::arg("sigmas"))
      .def("at", &UNetSchedule::at, py::arg("sigma"), "Position in the chain of the UNet that evaluates at `sigma`.")
      .def("steps", &UNetSchedule::steps, py::arg("position"),
           "(first, last) entry of the schedule between which the UNet runs; equal where it makes no step.");
}

}  // namespace asdm::python
