#include "python_glue/bindings/python_host.h"

#include <pybind11/stl.h>

#include <memory>

#include "native/base/error.h"
#include "native/base/fields.h"
#include "python_glue/bindings/bind_assembly.h"
#include "python_glue/bindings/bind_format.h"
#include "python_glue/bindings/text.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

nodes::Handle wrap(py::object object) { return std::make_shared<PyHandle>(std::move(object)); }

py::object to_python(const nodes::Handle& handle) { return object_of(handle); }
py::object to_python(const std::string& text) { return python_text(text); }
template <class Value>
py::object to_python(const Value& value) {
  return py::cast(value);
}

template <class Struct>
py::dict to_dict(const Struct& values) {
  py::dict out;
  for_each_field<Struct>([&](const char* name, auto member) { out[name] = to_python(values.*member); });
  return out;
}

}  // namespace

PyHandle::~PyHandle() {
  const py::gil_scoped_acquire gil;
  object_ = py::object();
}

py::object object_of(const nodes::Handle& handle) {
  const auto* wrapped = dynamic_cast<const PyHandle*>(handle.get());
  if (wrapped == nullptr) {
    throw internal_fault("PyHost", "an object of the host that Python did not make");
  }
  return wrapped->object();
}

std::vector<std::string> PyHost::list_models(std::string_view folder) {
  const py::gil_scoped_acquire gil;
  std::vector<std::string> names;
  for (const py::handle name : object_.attr("list_models")(folder)) {
    names.push_back(text_of(name, "a file of " + std::string(folder)));
  }
  return names;
}

std::string PyHost::model_path(std::string_view folder, std::string_view name) {
  const py::gil_scoped_acquire gil;
  return text_of(object_.attr("model_path")(folder, python_text(name)), folder);
}

nodes::Handle PyHost::load_unet(std::string_view path, const UNetFile& file, std::string_view weight_dtype) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("load_unet")(python_text(path), layout_of(file), weight_dtype));
}

std::string PyHost::save_unet(const nodes::Handle& model, std::string_view filename_prefix) {
  const py::gil_scoped_acquire gil;
  return text_of(object_.attr("save_unet")(object_of(model), python_text(filename_prefix)), "ASDMSaveUNet.path");
}

nodes::Handle PyHost::assemble_unet(const nodes::Handle& model, const UNetSpec& spec) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("assemble_unet")(object_of(model), spec));
}

nodes::Handle PyHost::calibrate_unet(const nodes::Handle& teacher, const nodes::Handle& student,
                                     const nodes::Handle& conditioning, const nodes::Handle& latent) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("calibrate_unet")(object_of(teacher), object_of(student), object_of(conditioning),
                                             latent ? object_of(latent) : py::object(py::none())));
}

nodes::Distilled PyHost::distil_unet(const nodes::Handle& teacher, const nodes::Handle& student,
                                     const nodes::Handle& latents, const nodes::Handle& conditioning,
                                     const nodes::DistilOptions& options) {
  const py::gil_scoped_acquire gil;
  const auto [model, loss_plot] = object_
                                      .attr("distil_unet")(object_of(teacher), object_of(student), object_of(latents),
                                                           object_of(conditioning), to_dict(options))
                                      .cast<std::pair<py::object, py::object>>();
  return {wrap(model), wrap(loss_plot)};
}

nodes::Handle PyHost::with_experts(const nodes::Handle& model, const MECondConvStart& start,
                                   const nodes::Handle& teacher) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("with_experts")(object_of(model), start.spec, starts_of(start.leaves),
                                           teacher ? object_of(teacher) : py::object(py::none())));
}

nodes::ModelDescription PyHost::describe_model(const nodes::Handle& model) {
  const py::gil_scoped_acquire gil;
  const py::dict description = object_.attr("describe_model")(object_of(model));
  return {description["class_name"].cast<std::string>(), description["spec"].cast<std::optional<UNetSpec>>(),
          description["refusal"].cast<std::string>()};
}

nodes::Handle PyHost::with_native_engine(const nodes::Handle& model, std::string_view compute_dtype) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("with_native_engine")(object_of(model), compute_dtype));
}

nodes::Handle PyHost::with_inheritance(const nodes::Handle& model, const nodes::Inheritance& inheritance,
                                       std::string_view where) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("with_inheritance")(object_of(model), py::cast(inheritance), where));
}

nodes::Handle PyHost::with_early_unet(const nodes::Handle& model, const nodes::Handle& early, double share) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("with_early_unet")(object_of(model), object_of(early), share));
}

nodes::Handle PyHost::wrap_sampler(const nodes::Handle& sampler, const nodes::Inheritance& inheritance,
                                   std::string_view where) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("wrap_sampler")(object_of(sampler), py::cast(inheritance), where));
}

nodes::CalibratedPlan PyHost::calibrate_plan(const nodes::Handle& model, const nodes::CalibrationRun& run) {
  const py::gil_scoped_acquire gil;
  const py::dict found = object_.attr("calibrate_plan")(object_of(model), to_dict(run));
  nodes::CalibratedPlan calibrated{.plan = found["plan"].cast<Plan>(),
                                   .tried = {},
                                   .chosen = found["chosen"].cast<size_t>(),
                                   .reached = found["reached"].cast<bool>(),
                                   .judged = found["judged"].cast<double>(),
                                   .runs = found["runs"].cast<int64_t>(),
                                   .plot = wrap(found["plot"])};
  for (const auto& [speedup, psnr] : found["tried"].cast<std::vector<std::pair<double, double>>>()) {
    calibrated.tried.push_back({speedup, psnr});
  }
  return calibrated;
}

std::string PyHost::run_report(const nodes::Handle& model, const nodes::Handle& latent) {
  const py::gil_scoped_acquire gil;
  return object_.attr("run_report")(object_of(model), object_of(latent)).cast<std::string>();
}

nodes::Handle PyHost::run_strip(std::string_view report_json) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("run_strip")(report_json));
}

nodes::ImageScores PyHost::compare_images(const nodes::Handle& reference, const nodes::Handle& image, double gain) {
  const py::gil_scoped_acquire gil;
  auto [psnr, ssim, difference] = object_.attr("compare_images")(object_of(reference), object_of(image), gain)
                                      .cast<std::tuple<double, std::optional<double>, py::object>>();
  return {psnr, ssim, wrap(std::move(difference))};
}

}  // namespace asdm::python
