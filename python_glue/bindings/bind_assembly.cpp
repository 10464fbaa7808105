// Bindings of native/assembly: what a UNet becomes, as UNetSpec and names of weights.
#include "python_glue/bindings/bind_assembly.h"

#include <pybind11/stl.h>

#include <string>

#include "native/base/name_table.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {

py::list starts_of(const std::vector<LeafStart>& leaves) {
  py::list starts;
  for (const LeafStart& leaf : leaves) {
    py::dict start;
    start["leaf"] = leaf.leaf;
    start["from"] = leaf.from;
    start["of_teacher"] = leaf.of_teacher;
    start["perturbation"] = leaf.perturbation;
    start["seed"] = leaf.seed;
    start["bias"] = leaf.bias;
    start["shares"] = leaf.shares;
    start["beside"] = leaf.beside;
    starts.append(std::move(start));
  }
  return starts;
}

void init_assembly(py::module_& m) {
  m.def(
      "start_me_cond_conv",
      [](const UNetSpec& student, const UNetSpec& teacher, const std::string& sites, int64_t experts,
         const std::string& routing, const std::string& source, double temperature, int64_t seed) {
        const ExpertRouting settings{experts, value_named(kRoutingForms, "routing", routing),
                                     value_named(kRoutingSources, "source", source), temperature};
        const MECondConvStart start = start_me_cond_conv(student, teacher, {sites, settings, seed});
        return py::make_tuple(start.spec, starts_of(start.leaves));
      },
      py::arg("student"), py::arg("teacher"), py::kw_only(), py::arg("sites") = "auto", py::arg("experts") = 2,
      py::arg("routing") = "softmax", py::arg("source") = "input", py::arg("temperature") = 1.0, py::arg("seed") = 0,
      "(UNetSpec of the student with ME-CondConv at `sites`, [{\"leaf\", \"from\", \"of_teacher\", \"perturbation\", "
      "\"seed\", \"bias\", \"shares\", \"beside\"}] for each new leaf: the leaf of the teacher or the student it "
      "starts from, the noise added in standard deviations of the weight; a router starts from zeros and `bias`; "
      "expert 0 from what makes the experts, weighted by `shares`, sum to its leaf). ValueError naming what does not "
      "fit.");
}

}  // namespace asdm::python
