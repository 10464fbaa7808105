// What a node may ask of the program it runs in. The nodes know this interface alone: no Python, no ComfyUI.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "native/assembly/me_cond_conv_start.h"
#include "native/format/inheritance_request.h"
#include "native/format/plan.h"
#include "native/format/unet_file.h"

namespace asdm::nodes {

/// Something of the host's that nodes pass on without looking inside (a MODEL, a LATENT, a SAMPLER, an IMAGE).
class HostObject {
 public:
  virtual ~HostObject() = default;
};
using Handle = std::shared_ptr<HostObject>;

/// How a compressed UNet is trained; checked by the node before the host sees it.
struct DistilOptions {
  int64_t steps = 0;          ///< of the whole UNet
  int64_t local_steps = 0;    ///< of each implant by itself, before
  int64_t implant_steps = 0;  ///< of each implant inside the teacher, after that
  int64_t batch_size = 1;
  double learning_rate = 0.0;
  int64_t seed = 0;
  double task_loss = 0.0;  ///< weights of the losses (native/assembly/distillation.h)
  double output_loss = 0.0;
  double feature_loss = 0.0;
  double semantic_loss = 0.0;
  std::string checkpoint;  ///< name under which the training is kept and resumed; empty = it is not

  /// By the names of the node's inputs.
  static constexpr auto fields() {
    using Self = DistilOptions;
    return std::tuple{std::pair{"steps", &Self::steps},
                      std::pair{"local_steps", &Self::local_steps},
                      std::pair{"implant_steps", &Self::implant_steps},
                      std::pair{"batch_size", &Self::batch_size},
                      std::pair{"learning_rate", &Self::learning_rate},
                      std::pair{"seed", &Self::seed},
                      std::pair{"task_loss", &Self::task_loss},
                      std::pair{"output_loss", &Self::output_loss},
                      std::pair{"feature_loss", &Self::feature_loss},
                      std::pair{"semantic_loss", &Self::semantic_loss},
                      std::pair{"checkpoint", &Self::checkpoint}};
  }
};

/// A trained UNet, and a picture of its loss over the steps.
struct Distilled {
  Handle model;
  Handle loss_plot;
};

/// A sampling run as the host's KSampler makes it, how much less work one shall do, and how long to look for the plan.
struct CalibrationRun {
  Handle positive;
  Handle negative;
  Handle latent_image;
  int64_t seed = 0;
  int64_t steps = 1;
  double cfg = 1.0;
  std::string sampler_name;  ///< as the host knows them; it checks both
  std::string scheduler;
  double denoise = 1.0;
  double target_speedup = 1.0;
  std::string effort;    ///< a name of effort_names()
  std::string remember;  ///< "yes" or "no": whether what was found for this model and sampling before is enough

  /// By the names of the node's inputs.
  static constexpr auto fields() {
    using Self = CalibrationRun;
    return std::tuple{std::pair{"positive", &Self::positive},
                      std::pair{"negative", &Self::negative},
                      std::pair{"latent_image", &Self::latent_image},
                      std::pair{"seed", &Self::seed},
                      std::pair{"steps", &Self::steps},
                      std::pair{"cfg", &Self::cfg},
                      std::pair{"sampler_name", &Self::sampler_name},
                      std::pair{"scheduler", &Self::scheduler},
                      std::pair{"denoise", &Self::denoise},
                      std::pair{"target_speedup", &Self::target_speedup},
                      std::pair{"effort", &Self::effort},
                      std::pair{"remember", &Self::remember}};
  }
};

/// A plan that was tried in such a run.
struct TriedPlan {
  double speedup = 1.0;  ///< how many times fewer multiply-accumulates than all
  double psnr = 0.0;     ///< dB between its latents and those of the run without inheritance
};

/// The plan that was found, and all that were tried.
struct CalibratedPlan {
  Plan plan;
  std::vector<TriedPlan> tried;
  size_t chosen = 0;     ///< index into `tried`
  bool reached = false;  ///< whether it does as much less work as was asked; else it does the least
  double judged = 0.0;   ///< dB of the chosen one with another seed than all were tried with
  int64_t runs = 0;      ///< that all of it took; none where it was remembered
  Handle plot = {};      ///< a picture of `tried`
};

/// How far pictures are from their references.
struct ImageScores {
  double psnr = 0.0;           ///< dB, of the batch; inf where they are equal
  std::optional<double> ssim;  ///< none where pictures are smaller than its window
  Handle difference;           ///< a picture of the absolute difference, amplified
};

/// What is inherited, and when: by rules, or by a plan that is followed.
using Inheritance = std::variant<InheritanceRequest, Plan>;

/// What the host knows of a MODEL.
struct ModelDescription {
  std::string class_name;        ///< the host's class of the diffusion model, for messages
  std::optional<UNetSpec> spec;  ///< none where it is no SD UNet
  std::string refusal;           ///< why there is none
};

/// The program the nodes run in. Every call may throw asdm::Error or the host's own exception.
class Host {
 public:
  virtual ~Host() = default;

  /// File names the loader offers, as the host lists them for `folder` ("diffusion_models").
  virtual std::vector<std::string> list_models(std::string_view folder) = 0;
  /// Full path of `name` in `folder`; throws where there is none.
  virtual std::string model_path(std::string_view folder, std::string_view name) = 0;

  /// A MODEL with the UNet `file` of the safetensors file at `path`.
  /// `weight_dtype`: "default", "fp32", "bf16", "fp16".
  virtual Handle load_unet(std::string_view path, const UNetFile& file, std::string_view weight_dtype) = 0;
  /// Writes the UNet of `model`, patches included, to a safetensors file that load_unet() reads; its path.
  virtual std::string save_unet(const Handle& model, std::string_view filename_prefix) = 0;
  /// A MODEL with the UNet of `model` less what `spec` lacks of it; shares the weights that are left.
  virtual Handle assemble_unet(const Handle& model, const UNetSpec& spec) = 0;

  /// A MODEL with the UNet of `student`, its cuts mended in closed form by one short run of `teacher` under
  /// `conditioning`, at the size of `latent` (null = the one that the model was trained at).
  virtual Handle calibrate_unet(const Handle& teacher, const Handle& student, const Handle& conditioning,
                                const Handle& latent) = 0;
  /// A MODEL with the UNet of `student`, trained to do what that of `teacher` does on `latents` under `conditioning`.
  virtual Distilled distil_unet(const Handle& teacher, const Handle& student, const Handle& latents,
                                const Handle& conditioning, const DistilOptions& options) = 0;

  /// A MODEL with the UNet of `model` and the ME-CondConv of `start`, whose leaves start as it says. `teacher`: where
  /// the pruned convolutions are, or null where `start` needs none. Shares the weights that were there.
  virtual Handle with_experts(const Handle& model, const MECondConvStart& start, const Handle& teacher) = 0;

  virtual ModelDescription describe_model(const Handle& model) = 0;
  /// A clone of `model` whose UNet runs in the native engine. `compute_dtype`: "auto" = as the host would; else "fp32",
  /// "bf16", "fp16".
  virtual Handle with_native_engine(const Handle& model, std::string_view compute_dtype) = 0;
  /// A clone of `model` that inherits features; installs the native engine where it is missing. `where`: the node, or
  /// its input, that the inheritance comes from, for errors about what this UNet does not have.
  virtual Handle with_inheritance(const Handle& model, const Inheritance& inheritance, std::string_view where) = 0;
  /// A MODEL whose runs are made by `early` for the first `share` (0..1) of their steps and by `model` after. Throws
  /// where the two cannot follow each other in one run.
  virtual Handle with_early_unet(const Handle& model, const Handle& early, double share) = 0;
  /// A SAMPLER that samples as `sampler` does and brings the inheritance to whatever MODEL it meets. `where` as above.
  virtual Handle wrap_sampler(const Handle& sampler, const Inheritance& inheritance, std::string_view where) = 0;
  /// The plan that stays closest to the run without inheritance at the wanted speed; samples many times.
  virtual CalibratedPlan calibrate_plan(const Handle& model, const CalibrationRun& run) = 0;
  /// The report (JSON, see docs/report.md) of the run of `model` that made `latent`.
  virtual std::string run_report(const Handle& model, const Handle& latent) = 0;
  /// A picture of such a report: addresses by evaluations, coloured by what was done.
  virtual Handle run_strip(std::string_view report_json) = 0;
  /// Throws where the two IMAGEs differ in number or size.
  virtual ImageScores compare_images(const Handle& reference, const Handle& image, double gain) = 0;
};

}  // namespace asdm::nodes
