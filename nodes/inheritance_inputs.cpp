#include "nodes/inheritance_inputs.h"

#include "native/base/error.h"
#include "native/format/choices.h"

namespace asdm::nodes {
namespace {

constexpr Range kIntervalRange{1, 1000, 1};
constexpr Range kCountRange{0, 10000, 1};
constexpr Range kPercentRange{0.0, 1.0, 0.01};
constexpr Range kThresholdRange{0.0, 100.0, 0.01};

InputSchema optional(InputSchema input) {
  input.optional = true;
  return input;
}

/// Graphs that were saved before there was this dial mean their own settings.
InputSchema speed_input() {
  InputSchema input = combo_input(
      "speed", speed_names(),
      "How many times less work. The pack works out for the sampler, schedule, steps and denoise of each run which "
      "evaluations inherit what, so that the picture changes least; the settings above but value and storage are then "
      "not used. Higher is faster and drifts further; short runs do less. exact: nothing is inherited. custom: the "
      "settings above count.");
  input.default_value = "2x";
  input.when_missing = "custom";
  return optional(std::move(input));
}

std::vector<InputSchema> where_inputs() {
  return {
      combo_input("level", site_level_names(),
                  "What is stored and reused. block: whole blocks, the largest saving. layer: single ResBlocks and "
                  "transformers; what they add to their input is reused. unit: the attentions, feed-forward parts and "
                  "convolutions inside them, the finest choice."),
      string_input("sites", "auto",
                   "Where features are inherited. auto: what suits this UNet, the level and the mode. Or addresses "
                   "separated by commas: out.8 (a block; all that only it needs is not run), in.4.attn (a layer), "
                   "in.4.attn.0.attn1 (a unit), * for any part of a name, out for the whole UNet, guidance for the "
                   "uncond half, control for ControlNets. Or phases, each with its own: 0-0.5: out.10; 0.5-1: out.8."),
  };
}

std::vector<InputSchema> when_inputs() {
  return {
      combo_input("mode", time_step_mode_names(),
                  "Where full evaluations lie. segment: evenly, and auto then inherits less and less. uniform: evenly. "
                  "front: most at the start. triangular, growing: ever further apart. quadratic: a little denser at "
                  "the start. centre: closest at three tenths. explicit: those in full_at. log_snr: even in noise "
                  "level. equal_change: where the picture changes most. adaptive: decided as the run goes. easycache: "
                  "EasyCache's rule."),
      int_input("interval", 3, kIntervalRange,
                "One evaluation in so many is full, the others inherit: with 1 none does; 2 or 3 stay close to the "
                "exact picture; more is faster and drifts further. Modes growing and growing_published begin with this "
                "gap, so they inherit with 1 too. Modes front, triangular, explicit, adaptive and easycache do not use "
                "it."),
      int_input(
          "full_evaluations", 0, kCountRange,
          "How many evaluations in the window are full, placed as the mode says. 0: as interval says, or the mode's "
          "own rule (front, triangular, adaptive, easycache). Mode explicit has full_at instead."),
      float_input("start_percent", 0.0, kPercentRange,
                  "Where in the run inheriting begins, as a share of its evaluations (0 to 1)."),
      float_input("end_percent", 1.0, kPercentRange,
                  "Where in the run inheriting ends, as a share of its evaluations (0 to 1). Must lie above "
                  "start_percent."),
  };
}

std::vector<InputSchema> how_inputs() {
  return {
      combo_input("value", value_form_names(),
                  "What stands in for a feature that is not computed. hold: its last value. taylor1, taylor2: a "
                  "forecast from its last two or three values, closer at small intervals. affine: the last value with "
                  "the gain and shift of each channel that the last full evaluation showed."),
      int_input("max_age", 0, kCountRange,
                "Oldest feature, in evaluations, that may still be inherited; an older one forces a full evaluation. "
                "0: no limit."),
      optional(float_input("threshold", 0.1, kThresholdRange,
                           "Modes adaptive and easycache: how much a feature may change, relative to its size, and "
                           "still be inherited. Larger is faster and drifts further.")),
      optional(string_input("full_at", "",
                            "Mode explicit: the full evaluations of the window, counted from 0 (0, 4, 9), or as a mask "
                            "of ones and zeros (1000100001).")),
      optional(combo_input("storage", storage_names(),
                           "How features are kept. compute: as they were computed. bf16: half the memory of fp32, "
                           "slightly coarser. cpu, cpu_bf16: in main memory, for GPUs that are short of theirs.")),
      optional(int_input("first_full", 0, kCountRange,
                         "At least this many evaluations at the start of the window are full.")),
      optional(
          int_input("last_full", 0, kCountRange, "At least this many evaluations at the end of the window are full.")),
  };
}

bool is_blank(const std::string& text) { return text.find_first_not_of(" \t\r\n,") == std::string::npos; }

void check(const Inputs& inputs, const InheritanceRequest& request) {
  if (is_blank(request.sites)) {
    throw invalid_input(inputs.where("sites"), "'auto' or addresses such as 'out.8'", "an empty text");
  }
  if (request.start_percent >= request.end_percent) {
    throw invalid_input(inputs.where("end_percent"),
                        "a number above start_percent (" + std::to_string(request.start_percent) + ")",
                        std::to_string(request.end_percent));
  }
  if (request.mode == "explicit" && is_blank(request.full_at)) {
    throw invalid_input(inputs.where("full_at"), "the full evaluations, such as '0, 4, 9', in mode 'explicit'",
                        "an empty text");
  }
}

}  // namespace

std::vector<InputSchema> inheritance_inputs() {
  std::vector<InputSchema> all;
  for (const std::vector<InputSchema>& part : {where_inputs(), when_inputs(), how_inputs(), {speed_input()}}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

InheritanceRequest read_inheritance(const Inputs& inputs) {
  auto request = inputs.read<InheritanceRequest>();
  if (!speed_from(request.speed)) {
    check(inputs, request);
  }
  return request;
}

Plan read_plan(const Inputs& inputs, const std::string& name) {
  const std::string& text = inputs.text(name);
  if (is_blank(text)) {
    throw invalid_input(inputs.where(name), "the JSON of a plan, as ASDM Report gives it", "an empty text");
  }
  try {
    return plan_from_json(text);
  } catch (const Error& error) {
    throw invalid_input(inputs.where(name), "the JSON of a plan, as ASDM Report gives it", error.what());
  }
}

}  // namespace asdm::nodes
