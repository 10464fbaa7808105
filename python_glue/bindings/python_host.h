// nodes::Host over a Python object that has the same methods, with dicts for structs and objects as they are.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nodes/host.h"

namespace asdm::python {

/// A Python object that C++ passes on. May die on any thread: the destructor takes the GIL.
class PyHandle final : public nodes::HostObject {
 public:
  explicit PyHandle(pybind11::object object) : object_(std::move(object)) {}
  PyHandle(const PyHandle&) = delete;
  PyHandle& operator=(const PyHandle&) = delete;
  ~PyHandle() override;

  /// The caller holds the GIL.
  [[nodiscard]] const pybind11::object& object() const { return object_; }

 private:
  pybind11::object object_;
};

/// The Python object inside `handle`. Throws Error where another host made it.
[[nodiscard]] pybind11::object object_of(const nodes::Handle& handle);

/// Calls from any thread, without the GIL; each method takes it. Python exceptions pass through unchanged.
class PyHost final : public nodes::Host {
 public:
  /// `object` must outlive the PyHost.
  explicit PyHost(pybind11::handle object) : object_(object) {}

  std::vector<std::string> list_models(std::string_view folder) override;
  std::string model_path(std::string_view folder, std::string_view name) override;
  nodes::Handle load_unet(std::string_view path, const UNetFile& file, std::string_view weight_dtype) override;
  std::string save_unet(const nodes::Handle& model, std::string_view filename_prefix) override;
  nodes::Handle assemble_unet(const nodes::Handle& model, const UNetSpec& spec) override;
  nodes::Handle calibrate_unet(const nodes::Handle& teacher, const nodes::Handle& student,
                               const nodes::Handle& conditioning, const nodes::Handle& latent) override;
  nodes::Distilled distil_unet(const nodes::Handle& teacher, const nodes::Handle& student, const nodes::Handle& latents,
                               const nodes::Handle& conditioning, const nodes::DistilOptions& options) override;
  nodes::Handle with_experts(const nodes::Handle& model, const MECondConvStart& start,
                             const nodes::Handle& teacher) override;
  nodes::ModelDescription describe_model(const nodes::Handle& model) override;
  nodes::Handle with_native_engine(const nodes::Handle& model, std::string_view compute_dtype) override;
  nodes::Handle with_inheritance(const nodes::Handle& model, const nodes::Inheritance& inheritance,
                                 std::string_view where) override;
  nodes::Handle with_early_unet(const nodes::Handle& model, const nodes::Handle& early, double share) override;
  nodes::Handle wrap_sampler(const nodes::Handle& sampler, const nodes::Inheritance& inheritance,
                             std::string_view where) override;
  nodes::CalibratedPlan calibrate_plan(const nodes::Handle& model, const nodes::CalibrationRun& run) override;
  std::string run_report(const nodes::Handle& model, const nodes::Handle& latent) override;
  nodes::Handle run_strip(std::string_view report_json) override;
  nodes::ImageScores compare_images(const nodes::Handle& reference, const nodes::Handle& image, double gain) override;

 private:
  pybind11::handle object_;
};

}  // namespace asdm::python
