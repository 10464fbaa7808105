// Bindings of native/assembly as training sees it: implants, losses with torch's gradients, calibration.
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "native/assembly/calibration.h"
#include "native/assembly/distillation.h"
#include "native/assembly/pruning_maps.h"
#include "native/format/unet_layout.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

ForwardInputs inputs_of(const py::dict& batch) {
  return {.x = batch["x"].cast<at::Tensor>(),
          .timesteps = batch["timesteps"].cast<at::Tensor>(),
          .context = batch["context"].cast<at::Tensor>(),
          .y = batch["y"].cast<std::optional<at::Tensor>>().value_or(at::Tensor()),
          .control = {}};
}

TrainingBatch batch_of(const py::dict& batch) {
  return {inputs_of(batch), batch["target"].cast<at::Tensor>(), batch["signal"].cast<at::Tensor>(),
          batch["noise"].cast<at::Tensor>(), batch["weight"].cast<at::Tensor>()};
}

LossWeights weights_of(const py::dict& weights) {
  return {weights["task"].cast<double>(), weights["output"].cast<double>(), weights["feature"].cast<double>(),
          weights["semantic"].cast<double>()};
}

py::list implant_list(const Distillation& distillation) {
  py::list out;
  for (size_t i = 0; i < distillation.implants().size(); ++i) {
    const Implant& implant = distillation.implants()[i];
    std::vector<std::string> trained;
    for (const LeafId leaf : distillation.trained_leaves(i)) {
      trained.push_back(distillation.hybrid(i).leaves()[static_cast<size_t>(leaf)].name);
    }
    py::dict entry;
    entry["name"] = implant.name;
    entry["trained"] = trained;
    out.append(std::move(entry));
  }
  return out;
}

py::list cut_list(const UNet& teacher, const UNet& student) {
  py::list out;
  for (const Cut& cut : cuts_of(teacher, student)) {
    out.append(cut);
  }
  return out;
}

void bind_losses(py::class_<Distillation>& distillation) {
  distillation
      .def(
          "local",
          [](const Distillation& self, size_t index, const py::dict& batch, WeightSource& teacher,
             WeightSource& weights) {
            const TrainingBatch given = batch_of(batch);
            const py::gil_scoped_release release;
            return self.local(index, given, teacher, weights);
          },
          py::arg("implant"), py::arg("batch"), py::arg("teacher"), py::arg("weights"),
          "Step 1 of incubation: {loss name: mean over the batch}; \"total\" has the gradients.")
      .def(
          "implanted",
          [](const Distillation& self, size_t index, const py::dict& batch, WeightSource& teacher,
             WeightSource& weights, const py::dict& loss) {
            const TrainingBatch given = batch_of(batch);
            const LossWeights wanted = weights_of(loss);
            const py::gil_scoped_release release;
            return self.implanted(index, given, teacher, weights, wanted);
          },
          py::arg("implant"), py::arg("batch"), py::arg("teacher"), py::arg("weights"), py::arg("loss_weights"),
          "Step 2: the implant inside the frozen teacher; `weights` are those of its hybrid.")
      .def(
          "assembled",
          [](const Distillation& self, const py::dict& batch, WeightSource& teacher, WeightSource& weights,
             const py::dict& loss) {
            const TrainingBatch given = batch_of(batch);
            const LossWeights wanted = weights_of(loss);
            const py::gil_scoped_release release;
            return self.assembled(given, teacher, weights, wanted);
          },
          py::arg("batch"), py::arg("teacher"), py::arg("weights"), py::arg("loss_weights"),
          "Step 3: the whole student.");
}

void bind_calibration(py::module_& m) {
  py::class_<Cut>(m, "Cut", "A block of a student behind which, or in which, something was taken out.")
      .def_readonly("block", &Cut::block, "Its address.")
      .def_readonly("leaf", &Cut::leaf, "Checkpoint name of the linear or convolution that ends it.");
  m.def("cuts_of", &cut_list, py::arg("teacher"), py::arg("student"), "The cuts, in the order to calibrate them in.");
  m.def(
      "cut_moments",
      [](const Cut& cut, const py::dict& batch, const UNet& teacher, WeightSource& teacher_weights, const UNet& student,
         WeightSource& student_weights) {
        const ForwardInputs inputs = inputs_of(batch);
        const py::gil_scoped_release release;
        return cut_moments(cut, inputs, teacher, teacher_weights, student, student_weights);
      },
      py::arg("cut"), py::arg("batch"), py::arg("teacher"), py::arg("teacher_weights"), py::arg("student"),
      py::arg("student_weights"), "fp64 [5, channels] sums of one call; add those of several.");
  m.def("fit_cut", &fit_cut, py::arg("moments"), "(gain, shift) for the channels of the cut's leaf.");
}

}  // namespace

void init_distillation(py::module_& m) {
  m.def(
      "compressed_spec",
      [](const UNetSpec& spec, const std::string& preset, const std::vector<std::string>& remove) {
        std::vector<std::string> addresses = remove;
        if (!preset.empty()) {
          const std::vector<std::string> map = pruning_map(preset, spec);
          addresses.insert(addresses.end(), map.begin(), map.end());
        }
        return without(spec, addresses);
      },
      py::arg("spec"), py::arg("preset"), py::arg("remove") = std::vector<std::string>(),
      "`spec` less what the pruning map `preset` (\"\" = none) and the addresses `remove` take.");
  py::class_<Distillation> distillation(m, "Distillation",
                                        "What a student UNet learns from its teacher. Holds no weights.");
  distillation.def(py::init<UNetSpec, UNetSpec>(), py::arg("teacher"), py::arg("student"))
      .def("implants", &implant_list, "[{name, trained (checkpoint names of leaves)}], from the shallowest.")
      .def("hybrid", &Distillation::hybrid, py::arg("implant"), py::return_value_policy::reference_internal)
      .def_property_readonly("teacher", &Distillation::teacher, py::return_value_policy::reference_internal)
      .def_property_readonly("student", &Distillation::student, py::return_value_policy::reference_internal);
  bind_losses(distillation);
  bind_calibration(m);
}

}  // namespace asdm::python
