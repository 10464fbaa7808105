#include "nodes/inheritance_inputs.h"

#include <set>
#include <utility>

#include "native/base/error.h"
#include "native/base/words.h"
#include "native/format/choices.h"
#include "native/format/mode_inputs.h"

namespace asdm::nodes {
namespace {

constexpr Range kIntervalRange{1, 1000, 1};
constexpr Range kCountRange{0, 10000, 1};
constexpr Range kPercentRange{0.0, 1.0, 0.01};
constexpr Range kThresholdRange{0.0, 100.0, 0.01};
/// Those that may contradict each other, or be no text that can be read; the host checks ranges and choices itself.
const std::set<std::string> kCheckedEarly = {"sites",       "mode",      "full_evaluations", "start_percent",
                                             "end_percent", "threshold", "full_at",          "speed"};
constexpr const char* kCustomSpeed = "custom";
constexpr const char* kNewSpeed = "2x";  ///< of a node that is put into a graph now

InputSchema optional(InputSchema input) {
  input.optional = true;
  return input;
}

InputSchema folded(InputSchema input) {
  input.folded = true;
  return input;
}

/// Without the modes that ignore it.
InputSchema of_modes(InputSchema input) {
  input.used_when.push_back({"mode", modes_that_read(input.name)});
  return input;
}

/// Where as many full evaluations are asked for, most modes need no interval.
InputSchema without_count(InputSchema input) {
  input.used_when.push_back({"full_evaluations", {"0"}, modes_of_interval_and_count()});
  return input;
}

/// Graphs that were saved before there was this dial mean their own settings.
InputSchema speed_input() {
  InputSchema input = combo_input(
      "speed", speed_names(),
      "How many times less work. The pack works out for the sampler, schedule, steps and denoise of each run what is "
      "reused when, so that the picture changes least. Higher is faster and drifts further; short runs do less. "
      "exact: nothing is reused. custom: the other settings count.");
  input.default_value = kNewSpeed;
  input.when_missing = kCustomSpeed;
  return optional(std::move(input));
}

std::vector<InputSchema> where_inputs() {
  InputSchema level = combo_input("level", site_level_names(),
                                  "What is kept and reused. block: whole blocks, the largest saving. layer: ResBlocks "
                                  "and transformers, by what they add to their input. unit: the attentions, "
                                  "feed-forward parts and convolutions inside them, the finest choice.");
  level.used_when.push_back({"sites", {"auto"}});
  return {
      folded(std::move(level)),
      folded(string_input("sites", "auto",
                          "Where features are reused. auto: what suits this UNet, level and mode. Or addresses, by "
                          "commas: out.8 (a block; all that only it needs is not run), in.4.attn (a layer), "
                          "in.4.attn.0.attn1 (a unit), * for any part of a name; out, guidance, control; encoder, "
                          "deepcache, attn1, attn2, ff, transformers, second_layers. Or phases, each with its own: "
                          "0-0.5: out.10; 0.5-1: out.8.")),
  };
}

std::vector<InputSchema> when_inputs() {
  return {
      combo_input("mode", time_step_mode_names(),
                  "Which steps are computed in full. segment: evenly, and sites auto reuses less and less. uniform: "
                  "evenly. front: most at the start. triangular, growing: ever further apart. quadratic: a little "
                  "denser at the start. centre: closest at three tenths. explicit: those in full_at. log_snr: even in "
                  "noise level. equal_change: where the picture changes most. adaptive: decided as the run goes. "
                  "easycache: by the rule of EasyCache."),
      without_count(of_modes(
          int_input("interval", kNewInterval, kIntervalRange,
                    "One step in so many is full, the others reuse; 1 reuses nothing, 2 or 3 stay close to the exact "
                    "picture. Higher is faster and drifts further. growing and growing_published begin with this "
                    "gap."))),
      of_modes(int_input("full_evaluations", 0, kCountRange,
                         "How many steps are full, placed as the mode says. 0: as interval says, or by the rule of the "
                         "mode. Higher is slower and closer to the exact picture.")),
      float_input("start_percent", 0.0, kPercentRange,
                  "Where in the run reuse begins, as a share of its steps (0 to 1). Higher keeps more of the "
                  "composition and is slower."),
      folded(float_input("end_percent", 1.0, kPercentRange,
                         "Where in the run reuse ends, as a share of its steps (0 to 1); above start_percent. Lower "
                         "keeps more of the details and is slower.")),
  };
}

std::vector<InputSchema> how_inputs() {
  return {
      folded(combo_input("value", value_form_names(),
                         "What stands in for a feature that is not computed. hold: its last value. taylor1, taylor2: a "
                         "forecast from its last two or three values. affine: the last value with the gain and shift "
                         "of each channel that the last full step showed.")),
      folded(int_input("max_age", 0, kCountRange,
                       "Oldest feature, in steps, that may still be reused; an older one makes the step a full one. "
                       "Higher is faster. 0: no limit.")),
      folded(of_modes(optional(float_input("threshold", 0.1, kThresholdRange,
                                           "How much a feature may change, relative to its size, and still be reused. "
                                           "Higher is faster and drifts further.")))),
      folded(of_modes(optional(string_input("full_at", "",
                                            "The full steps, counted from 0 (0, 4, 9), or as a mask of ones and zeros "
                                            "(1000100001).")))),
      folded(optional(combo_input("storage", storage_names(),
                                  "How features are kept. compute: as they were computed. bf16: half the memory of "
                                  "fp32, slightly coarser. cpu, cpu_bf16: in main memory, for GPUs that are short of "
                                  "theirs."))),
      folded(optional(int_input("first_full", 0, kCountRange,
                                "At least so many steps at the start of the window are full. Higher is slower and "
                                "keeps more of the composition."))),
      folded(optional(int_input("last_full", 0, kCountRange,
                                "At least so many steps at the end of the window are full. Higher is slower and keeps "
                                "more of the details."))),
  };
}

/// Those of which a plan that `speed` makes takes nothing.
bool gives_way_to_speed(const InputSchema& input) {
  return input.name != "speed" && input.name != "value" && input.name != "storage";
}

bool is_blank(const std::string& text) { return text.find_first_not_of(" \t\r\n,") == std::string::npos; }

void check(const Inputs& inputs, const InheritanceRequest& request) {
  if (is_blank(request.sites)) {
    throw invalid_input(inputs.where("sites"), "'auto' or addresses such as 'out.8'", "an empty text");
  }
  if (request.start_percent >= request.end_percent) {
    throw invalid_input(inputs.where("end_percent"),
                        "a number above start_percent (" + number_text(request.start_percent) + ")",
                        number_text(request.end_percent));
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
  for (InputSchema& input : all) {
    input.checked_early = kCheckedEarly.contains(input.name);
    if (gives_way_to_speed(input)) {
      input.used_when.push_back({"speed", {kCustomSpeed}});
    }
  }
  return all;
}

InputSchema plan_input(std::string tooltip) {
  InputSchema input = text_input("plan", "", std::move(tooltip));
  input.checked_early = true;
  return input;
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
