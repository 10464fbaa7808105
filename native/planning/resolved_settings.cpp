#include "native/planning/resolved_settings.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "native/base/error.h"
#include "native/base/words.h"
#include "native/format/mode_inputs.h"
#include "native/planning/sites.h"

namespace asdm {
namespace {

/// Whether progressive depth chooses the cut while the run goes.
bool searches_depth(const TimeStepSettings& time_steps) {
  return time_steps.mode == TimeStepMode::kAdaptive && time_steps.full_evaluations == 0;
}

TimeStepSettings time_steps_of(const InheritanceRequest& request) {
  TimeStepSettings settings{.mode = time_step_mode_from(request.mode),
                            .interval = request.interval,
                            .full_evaluations = request.full_evaluations,
                            .full_at = {},
                            .first_full = request.first_full,
                            .last_full = request.last_full,
                            .threshold = request.threshold};
  if (settings.mode == TimeStepMode::kExplicit) {
    settings.full_at = full_at_from(request.full_at);
  }
  if (!(settings.threshold >= 0.0)) {
    throw invalid_input("threshold", "0 or more", number_text(settings.threshold));
  }
  const bool by_threshold = settings.mode == TimeStepMode::kEasyCache || searches_depth(settings);
  if (by_threshold && settings.threshold == 0.0) {
    throw invalid_input("threshold",
                        settings.mode == TimeStepMode::kAdaptive
                            ? "more than 0, or full_evaluations above 0, in mode 'adaptive'"
                            : "more than 0 in mode 'easycache'",
                        "0, with which nothing would be inherited");
  }
  return settings;
}

/// The cuts among which progressive depth chooses, with their probes; none where `sites` are not all cuts.
std::vector<CutProbe> cuts_of(const Topology& topology, const std::vector<NodeId>& sites) {
  std::vector<CutProbe> cuts;
  for (NodeId probe = 0; topology.is_input(probe); ++probe) {
    const NodeId cut = cut_behind(topology, probe);
    if (cut != probe && std::find(sites.begin(), sites.end(), cut) != sites.end()) {
      cuts.push_back({.probe = probe, .cut = cut});
    }
  }
  return cuts.size() == sites.size() ? cuts : std::vector<CutProbe>();
}

/// What "auto" stands for: the mode's own choice where it has one, else `by_level`, what suits the architecture.
std::vector<SitePhase> automatic_choice(const TimeStepSettings& time_steps, SiteLevel level, const Topology& topology,
                                        const UNetSpec& spec, std::vector<SitePhase> by_level) {
  if (time_steps.mode == TimeStepMode::kEasyCache) {
    by_level.front().sites = {topology.whole()};
  } else if (level == SiteLevel::kBlock && time_steps.mode == TimeStepMode::kSegment) {
    return automatic_phases(topology, spec);
  } else if (level == SiteLevel::kBlock && searches_depth(time_steps)) {
    by_level.front().sites = level_cuts(topology);
  }
  return by_level;
}

ResolvedSites sites_of(const InheritanceRequest& request, const TimeStepSettings& time_steps, const Topology& topology,
                       const UNetSpec& spec) {
  const SiteLevel level = site_level_from(request.level);
  ResolvedSites resolved = resolve_sites(topology, spec, level, request.sites);
  if (resolved.phased && searches_depth(time_steps)) {
    throw invalid_input("sites", "no phases where mode 'adaptive' chooses among all sites (full_evaluations is 0)",
                        "phases");
  }
  if (resolved.automatic) {
    resolved.phases = automatic_choice(time_steps, level, topology, spec, std::move(resolved.phases));
  }
  return resolved;
}

/// What an evaluation of a plan inherits. `by_change`: layers that the evaluations before inherit by what they add to
/// their input, `whole_outputs` those by their output; both grow.
std::vector<NodeId> recorded_sites(const std::string& text, const Topology& topology, const UNetSpec& spec,
                                   std::set<NodeId>& by_change, std::set<NodeId>& whole_outputs) {
  ResolvedSites resolved = resolve_sites(topology, spec, SiteLevel::kBlock, text);
  if (resolved.phased) {
    throw invalid_input("sites", "addresses", "phases of a run, '" + text + "'");
  }
  drop_dead_sites(topology, resolved);
  for (const NodeId site : resolved.phases.front().sites) {
    const bool whole = resolved.whole_outputs.contains(site);
    if ((whole ? by_change : whole_outputs).contains(site)) {
      throw both_forms("sites", topology, site);
    }
    (whole ? whole_outputs : by_change).insert(site);
  }
  return resolved.phases.front().sites;
}

/// A full UNet of each family.
struct KnownUNet {
  UNetSpec spec;
  Topology topology;
};

const std::vector<KnownUNet>& known_unets() {
  static const std::vector<KnownUNet> unets = [] {
    std::vector<KnownUNet> made;
    for (const char* const name : {"sd15", "sd21", "sdxl", "sdxl_refiner"}) {
      UNetSpec spec = preset_spec(name);
      Topology topology = make_topology(spec);
      made.push_back({std::move(spec), std::move(topology)});
    }
    return made;
  }();
  return unets;
}

/// `family`: whose UNet is told of where none fits; the first one's where it is none that is known.
template <class Asked>
void check_on_known_unets(const Asked& asked, std::string_view family) {
  std::optional<Error> told;
  for (const KnownUNet& unet : known_unets()) {
    try {
      std::ignore = settings_of(asked, unet.topology, unet.spec);
      return;
    } catch (const Error& error) {
      if (!told || to_string(unet.spec.family) == family) {
        told = error;
      }
    }
  }
  throw *told;
}

std::string evaluations_text(int64_t evaluations) {
  return std::to_string(evaluations) + (evaluations == 1 ? " evaluation" : " evaluations");
}

/// Whether evaluations are full for another reason than the mode's.
bool keeps_some_full(const InheritanceRequest& request) {
  return request.start_percent > 0.0 || request.end_percent < 1.0 || request.first_full > 0 || request.last_full > 0;
}

bool reads(const InheritanceRequest& request, std::string_view input) {
  const std::vector<std::string> modes = modes_that_read(input);
  return std::find(modes.begin(), modes.end(), request.mode) != modes.end();
}

}  // namespace

void check_without_unet(const InheritanceRequest& request) { check_on_known_unets(request, {}); }
void check_without_unet(const Plan& plan) { check_on_known_unets(plan, plan.family); }

std::vector<std::string> idle_settings(const InheritanceRequest& request, int64_t evaluations) {
  std::vector<std::string> notes;
  if (speed_from(request.speed)) {
    return notes;
  }
  const std::string had = "the run had " + evaluations_text(evaluations);
  if (reads(request, "full_at")) {
    std::vector<std::string> behind;
    for (const int64_t index : full_at_from(request.full_at)) {
      if (index >= evaluations) {
        behind.push_back(std::to_string(index));
      }
    }
    if (!behind.empty()) {
      notes.push_back("full_at names " + join(behind) + ", counted from 0, but " + had);
    }
  }
  if (reads(request, "full_evaluations") && request.full_evaluations > evaluations) {
    notes.push_back("full_evaluations is " + std::to_string(request.full_evaluations) + ", but " + had +
                    ": all of them were full");
  } else if (reads(request, "interval") && request.full_evaluations == 0 && request.interval > evaluations &&
             !keeps_some_full(request)) {
    notes.push_back("interval is " + std::to_string(request.interval) + ", but " + had + ": one was full");
  }
  if (const int64_t guarded = request.first_full + request.last_full; guarded > 0 && guarded >= evaluations) {
    notes.push_back("first_full and last_full keep " + std::to_string(guarded) + " full, but " + had);
  }
  return notes;
}

InheritanceSettings settings_of(const InheritanceRequest& request, const Topology& topology, const UNetSpec& spec) {
  if (speed_from(request.speed)) {  // a run makes a plan of it; till then value and storage are what it says
    return settings_of(InheritanceRequest{.value = request.value, .storage = request.storage}, topology, spec);
  }
  InheritanceSettings settings;
  settings.time_steps = time_steps_of(request);
  settings.values = {.form = value_form_from(request.value), .storage = storage_from(request.storage)};
  settings.start_percent = request.start_percent;
  settings.end_percent = request.end_percent;
  settings.max_age = request.max_age;
  settings.guidance = topology.guidance();
  settings.control = topology.control();
  ResolvedSites resolved = sites_of(request, settings.time_steps, topology, spec);
  if (searches_depth(settings.time_steps)) {
    settings.cuts = cuts_of(topology, resolved.phases.front().sites);
  }
  if (settings.cuts.empty()) {  // else those behind the first cut serve where it does not
    drop_dead_sites(topology, resolved);
  }
  settings.phases = std::move(resolved.phases);
  settings.whole_outputs = std::move(resolved.whole_outputs);
  check(settings);
  return settings;
}

InheritanceSettings settings_of(const Plan& plan, const Topology& topology, const UNetSpec& spec) {
  InheritanceSettings settings;
  settings.values = {.form = value_form_from(plan.value), .storage = storage_from(plan.storage)};
  settings.guidance = topology.guidance();
  settings.control = topology.control();
  settings.plan.emplace();
  std::set<NodeId> by_change;
  std::map<std::string, std::vector<NodeId>> known = {{"", {}}};  // plans say the same again and again
  for (const PlanEvaluation& evaluation : plan.evaluations) {
    const std::string text = join(evaluation.sites);
    auto found = known.find(text);
    if (found == known.end()) {
      try {
        found = known.emplace(text, recorded_sites(text, topology, spec, by_change, settings.whole_outputs)).first;
      } catch (const Error& error) {
        throw error.inside("evaluations[" + std::to_string(settings.plan->size()) + "]");
      }
    }
    settings.plan->push_back(found->second);
  }
  return settings;
}

}  // namespace asdm
