// A Host in memory: remembers what nodes asked of it and answers from its fields.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nodes/host.h"

namespace asdm::testing {

/// Stands for a MODEL, LATENT or SAMPLER; the label tells how it came to be.
struct NamedObject final : nodes::HostObject {
  explicit NamedObject(std::string text) : label(std::move(text)) {}
  std::string label;
};

inline nodes::Handle named(std::string label) { return std::make_shared<NamedObject>(std::move(label)); }

inline std::string label_of(const nodes::Handle& handle) { return dynamic_cast<const NamedObject&>(*handle).label; }

class RecordingHost final : public nodes::Host {
 public:
  std::map<std::string, std::string> files;  ///< path by name, in the folder "diffusion_models"
  nodes::ModelDescription description{"UNetModel", preset_spec("sd15"), ""};
  std::string report;
  std::vector<std::string> calls;
  std::string compute_dtype;  ///< the last
  MECondConvStart start;      ///< the last
  UNetFile loaded;            ///< the last
  nodes::DistilOptions distil_options;
  nodes::Inheritance inheritance;         ///< the last that was asked for
  std::string inheritance_where;          ///< and where it came from
  nodes::CalibrationRun calibration_run;  ///< the last
  nodes::CalibratedPlan calibrated{.plan = {}, .tried = {{2.0, 40.0}}};
  nodes::ImageScores scores;

  std::vector<std::string> list_models(std::string_view folder) override {
    calls.push_back("list_models " + std::string(folder));
    std::vector<std::string> names;
    for (const auto& [name, path] : files) {
      names.push_back(name);
    }
    return names;
  }
  std::string model_path(std::string_view, std::string_view name) override { return files.at(std::string(name)); }
  nodes::Handle load_unet(std::string_view path, const UNetFile& file, std::string_view weight_dtype) override {
    calls.push_back("load_unet " + std::string(path) + " " + std::string(weight_dtype));
    loaded = file;
    description.spec = file.spec;
    return named("loaded");
  }
  std::string save_unet(const nodes::Handle& model, std::string_view filename_prefix) override {
    calls.push_back("save_unet " + label_of(model) + " " + std::string(filename_prefix));
    return "/models/" + std::string(filename_prefix) + "_00001_.safetensors";
  }
  nodes::Handle assemble_unet(const nodes::Handle& model, const UNetSpec& spec) override {
    description.spec = spec;
    return named(label_of(model) + "+assembled");
  }
  nodes::Handle calibrate_unet(const nodes::Handle& teacher, const nodes::Handle& student,
                               const nodes::Handle& conditioning, const nodes::Handle& latent) override {
    calls.push_back("calibrate_unet " + label_of(teacher) + " " + label_of(conditioning) + " " +
                    (latent ? label_of(latent) : "no latent"));
    return named(label_of(student) + "+calibrated");
  }
  nodes::Distilled distil_unet(const nodes::Handle& teacher, const nodes::Handle& student, const nodes::Handle& latents,
                               const nodes::Handle& conditioning, const nodes::DistilOptions& options) override {
    calls.push_back("distil_unet " + label_of(teacher) + " " + label_of(latents) + " " + label_of(conditioning));
    distil_options = options;
    return {named(label_of(student) + "+distilled"), named("loss plot")};
  }
  nodes::Handle with_experts(const nodes::Handle& model, const MECondConvStart& asked,
                             const nodes::Handle& teacher) override {
    start = asked;
    description.spec = asked.spec;
    return named(label_of(model) + "+experts" + (teacher ? " of " + label_of(teacher) : ""));
  }
  nodes::ModelDescription describe_model(const nodes::Handle&) override { return description; }
  nodes::Handle with_native_engine(const nodes::Handle& model, std::string_view asked) override {
    compute_dtype = asked;
    return named(label_of(model) + "+native");
  }
  nodes::Handle with_inheritance(const nodes::Handle& model, const nodes::Inheritance& asked,
                                 std::string_view where) override {
    inheritance = asked;
    inheritance_where = where;
    return named(label_of(model) + "+inheritance");
  }
  nodes::Handle with_early_unet(const nodes::Handle& model, const nodes::Handle& early, double share) override {
    calls.push_back("with_early_unet " + std::to_string(share));
    return named(label_of(early) + ">" + label_of(model));
  }
  nodes::Handle wrap_sampler(const nodes::Handle& sampler, const nodes::Inheritance& asked,
                             std::string_view where) override {
    inheritance = asked;
    inheritance_where = where;
    return named(label_of(sampler) + "+inheritance");
  }
  nodes::CalibratedPlan calibrate_plan(const nodes::Handle& model, const nodes::CalibrationRun& run) override {
    calls.push_back("calibrate_plan " + label_of(model) + " " + label_of(run.latent_image) + " " + run.sampler_name);
    calibration_run = run;
    return calibrated;
  }
  std::string run_report(const nodes::Handle& model, const nodes::Handle& latent) override {
    calls.push_back("run_report " + label_of(model) + " " + label_of(latent));
    return report;
  }
  nodes::Handle run_strip(std::string_view report_json) override {
    return named("strip of " + std::string(report_json));
  }
  nodes::ImageScores compare_images(const nodes::Handle& reference, const nodes::Handle& image, double gain) override {
    calls.push_back("compare_images " + label_of(reference) + " " + label_of(image) + " " + std::to_string(gain));
    return scores;
  }
};

}  // namespace asdm::testing
