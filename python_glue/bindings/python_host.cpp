#include "python_glue/bindings/python_host.h"

#include <memory>

#include <pybind11/stl.h>

#include "native/base/error.h"
#include "python_glue/bindings/bind_assembly.h"
#include "python_glue/bindings/bind_format.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

nodes::Handle wrap(py::object object) { return std::make_shared<PyHandle>(std::move(object)); }

py::dict to_dict(const nodes::EngineOptions& options) {
  py::dict out;
  out["compute_dtype"] = options.compute_dtype;
  return out;
}

py::dict to_dict(const nodes::InheritanceOptions& options) {
  py::dict out;
  out["level"] = options.level;
  out["sites"] = options.sites;
  out["mode"] = options.mode;
  out["interval"] = options.interval;
  out["full_evaluations"] = options.full_evaluations;
  out["start_percent"] = options.start_percent;
  out["end_percent"] = options.end_percent;
  out["value"] = options.value;
  out["max_age"] = options.max_age;
  out["threshold"] = options.threshold;
  out["full_at"] = options.full_at;
  out["storage"] = options.storage;
  out["first_full"] = options.first_full;
  out["last_full"] = options.last_full;
  return out;
}

py::dict to_dict(const nodes::DistilOptions& options) {
  py::dict out;
  out["steps"] = options.steps;
  out["local_steps"] = options.local_steps;
  out["implant_steps"] = options.implant_steps;
  out["batch_size"] = options.batch_size;
  out["learning_rate"] = options.learning_rate;
  out["seed"] = options.seed;
  out["task"] = options.task_loss;
  out["output"] = options.output_loss;
  out["feature"] = options.feature_loss;
  out["semantic"] = options.semantic_loss;
  out["checkpoint"] = options.checkpoint;
  return out;
}

/// What the host's KSampler is called with, and the target.
py::dict to_dict(const nodes::CalibrationRun& run) {
  py::dict out;
  out["positive"] = object_of(run.positive);
  out["negative"] = object_of(run.negative);
  out["latent"] = object_of(run.latent);
  out["seed"] = run.seed;
  out["steps"] = run.steps;
  out["cfg"] = run.cfg;
  out["sampler_name"] = run.sampler_name;
  out["scheduler"] = run.scheduler;
  out["denoise"] = run.denoise;
  out["target_speedup"] = run.target_speedup;
  return out;
}

py::dict to_dict(const Plan& plan) {
  py::list evaluations;
  for (const PlanEvaluation& evaluation : plan.evaluations) {
    evaluations.append(py::make_tuple(evaluation.sigma, evaluation.sites));
  }
  py::dict out;
  out["family"] = plan.family;
  out["steps"] = plan.steps;
  out["value"] = plan.value;
  out["storage"] = plan.storage;
  out["evaluations"] = std::move(evaluations);
  return out;
}

py::dict to_dict(const nodes::Inheritance& inheritance) {
  return std::visit([](const auto& given) { return to_dict(given); }, inheritance);
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
  return object_.attr("list_models")(folder).cast<std::vector<std::string>>();
}

std::string PyHost::model_path(std::string_view folder, std::string_view name) {
  const py::gil_scoped_acquire gil;
  return object_.attr("model_path")(folder, name).cast<std::string>();
}

nodes::Handle PyHost::load_unet(std::string_view path, const UNetFile& file, std::string_view weight_dtype) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("load_unet")(path, layout_of(file), weight_dtype));
}

std::string PyHost::save_unet(const nodes::Handle& model, std::string_view filename_prefix) {
  const py::gil_scoped_acquire gil;
  return object_.attr("save_unet")(object_of(model), filename_prefix).cast<std::string>();
}

nodes::Handle PyHost::assemble_unet(const nodes::Handle& model, std::string_view spec_json) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("assemble_unet")(object_of(model), spec_json));
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
  const auto [model, loss_plot] =
      object_.attr("distil_unet")(object_of(teacher), object_of(student), object_of(latents), object_of(conditioning),
                                  to_dict(options))
          .cast<std::pair<py::object, py::object>>();
  return {wrap(model), wrap(loss_plot)};
}

nodes::Handle PyHost::with_experts(const nodes::Handle& model, const MECondConvStart& start,
                                   const nodes::Handle& teacher) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("with_experts")(object_of(model), to_json(start.spec), starts_of(start.leaves),
                                           teacher ? object_of(teacher) : py::object(py::none())));
}

nodes::ModelDescription PyHost::describe_model(const nodes::Handle& model) {
  const py::gil_scoped_acquire gil;
  const py::dict description = object_.attr("describe_model")(object_of(model));
  return {description["class_name"].cast<std::string>(), description["spec_json"].cast<std::string>(),
          description["refusal"].cast<std::string>()};
}

nodes::Handle PyHost::with_native_engine(const nodes::Handle& model, const nodes::EngineOptions& options) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("with_native_engine")(object_of(model), to_dict(options)));
}

nodes::Handle PyHost::with_inheritance(const nodes::Handle& model, const nodes::Inheritance& inheritance,
                                       std::string_view where) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("with_inheritance")(object_of(model), to_dict(inheritance), where));
}

nodes::Handle PyHost::with_early_unet(const nodes::Handle& model, const nodes::Handle& early, double share) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("with_early_unet")(object_of(model), object_of(early), share));
}

nodes::Handle PyHost::wrap_sampler(const nodes::Handle& sampler, const nodes::Inheritance& inheritance,
                                   std::string_view where) {
  const py::gil_scoped_acquire gil;
  return wrap(object_.attr("wrap_sampler")(object_of(sampler), to_dict(inheritance), where));
}

nodes::CalibratedPlan PyHost::calibrate_plan(const nodes::CalibrationRun& run) {
  const py::gil_scoped_acquire gil;
  const py::dict found = object_.attr("calibrate_plan")(object_of(run.model), to_dict(run));
  nodes::CalibratedPlan calibrated{.plan = plan_from_json(found["plan"].cast<std::string>()),
                                   .tried = {},
                                   .chosen = found["chosen"].cast<size_t>(),
                                   .reached = found["reached"].cast<bool>(),
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
