// ASDMCalibratePlan: looks for the plan that keeps a run closest to itself at a wanted speed.
#include <cstdint>
#include <cstdio>
#include <string>

#include "native/format/effort.h"
#include "nodes/factories.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

std::string three_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

// dB of latents from which on eyes see nothing, and from which on they see the same picture.
constexpr double kUnseen = 40.0;
constexpr double kSamePicture = 30.0;

std::string in_words(double psnr) {
  return psnr >= kUnseen        ? "no difference to be seen"
         : psnr >= kSamePicture ? "details differ"
                                : "\u26a0 another picture, a lower target_speedup keeps it";
}

std::string summary(const CalibratedPlan& calibrated, double target_speedup) {
  const TriedPlan& chosen = calibrated.tried.at(calibrated.chosen);
  const std::string missed =
      calibrated.reached ? ""
                         : "\u26a0 no plan does " + three_digits(target_speedup) + " times less work; the cheapest: ";
  return missed + three_digits(chosen.speedup) + " times less work at " + three_digits(calibrated.judged) +
         " dB with another seed: " + in_words(calibrated.judged) +
         (calibrated.runs == 0 ? ". Remembered: no run was needed."
                               : ". Plans tried: " + std::to_string(calibrated.tried.size()) +
                                     ", runs: " + std::to_string(calibrated.runs) + ".");
}

/// Graphs that were saved before there was this input mean all runs.
InputSchema effort_input() {
  InputSchema input = combo_input("effort", effort_names(),
                                  "How many runs finding the plan may take: quick 6, normal 12, thorough 24, the exact "
                                  "ones among them. More come closer.");
  input.default_value = "normal";
  input.when_missing = "thorough";
  input.optional = true;
  return input;
}

InputSchema remember_input() {
  InputSchema input =
      combo_input("remember", {"no", "yes"},
                  "yes: the plan is kept in ComfyUI's user folder and given again, without a run, for the same model "
                  "with its LoRAs, sampler, scheduler, steps, cfg, denoise, size, target_speedup and effort, whatever "
                  "the prompt and seed. no: it is looked for whenever an input changes.");
  input.optional = true;
  return input;
}

class CalibratePlan final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMCalibratePlan";
    schema.display_name = "ASDM Calibrate Plan (speed)";
    schema.category = "ASDM/plans";
    schema.description =
        "Finds the plan that changes the picture least for as much less work as you ask for, by what your own model, "
        "prompt and sampler lose, in 6, 12 or 24 runs; ASDM Apply Plan and ASDM Wrap Sampler then use the plan for any "
        "prompt and seed with these steps and this sampler. The dial speed needs no runs; this comes closer where your "
        "model differs from what the dial knows.";
    schema.search_aliases = {"fast", "speed", "quality", "tune", "search"};
    schema.inputs = {
        linked_input("model", Kind::kModel,
                     "MODEL with a Stable Diffusion UNet. What it inherits already is left out."),
        linked_input("positive", Kind::kConditioning,
                     "What the picture shall show, as for KSampler; so are all inputs up to denoise."),
        linked_input("negative", Kind::kConditioning, "What the picture should not show."),
        linked_input("latent_image", Kind::kLatent,
                     "Size of the pictures. A batch of some makes the choice steadier, and takes longer."),
        seed_input(kMostSeed,
                   "Of the noise; the plan serves other seeds too. Another one makes the search start anew."),
        int_input("steps", 20, {1, 10000, 1}, "Steps of the runs that the plan is for. Higher takes longer."),
        float_input("cfg", 8.0, {0.0, 100.0, 0.1}, "Guidance: higher follows the prompt more closely."),
        host_list_input("sampler_name", "samplers",
                        "Sampler of the runs that the plan is for; another one wants a plan of its own."),
        host_list_input("scheduler", "schedulers", "Noise schedule of the runs that the plan is for."),
        float_input("denoise", 1.0, {0.01, 1.0, 0.01},
                    "Share of the schedule that is sampled: 1 for text to image, lower for image to image."),
        float_input("target_speedup", 2.0, {1.0, 20.0, 0.1},
                    "How many times less work the sampling shall do, as with the dial speed. Higher drifts further."),
        effort_input(),
        remember_input(),
    };
    schema.outputs = {
        {"plan", Kind::kString, "The plan as JSON, for ASDM Apply Plan or ASDM Wrap Sampler."},
        {"plot", Kind::kImage, "Closeness (dB between latents) over the work saved, of all plans that were tried."}};
    return schema;
  }

 private:
  // Exact as a double, which a Range holds.
  static constexpr int64_t kMostSeed = int64_t{1} << 53;

  Result run(Host& host, const Inputs& inputs) const override {
    const Handle& model = inputs.handle("model");
    require_unet(host, model, inputs.where("model"));
    const auto asked = inputs.read<CalibrationRun>();
    const CalibratedPlan calibrated = host.calibrate_plan(model, asked);
    return {.outputs = {to_json(calibrated.plan), calibrated.plot},
            .ui_text = summary(calibrated, asked.target_speedup),
            .ui_image = calibrated.plot};
  }
};

}  // namespace

std::unique_ptr<Node> make_calibrate_plan() { return std::make_unique<CalibratePlan>(); }

}  // namespace asdm::nodes
