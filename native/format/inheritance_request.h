// Settings of feature inheritance as users write them: one record for nodes, Python and the engine.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

namespace asdm {

/// Of a node and of a plan that are begun now; a request that names none inherits nothing.
constexpr int64_t kNewInterval = 3;

/// Every choice by its name (choices.h). What they mean on a UNet is for the UNet to say.
struct InheritanceRequest {
  std::string level = "block";
  std::string sites = "auto";    ///< "auto", a preset, addresses or globs ("out.8"), or phases of them
  std::string mode = "uniform";  ///< how full evaluations are placed
  int64_t interval = 1;          ///< every interval-th evaluation is full; 1 = inherit nothing
  int64_t full_evaluations = 0;  ///< number of full evaluations in the window; 0 = from `interval`
  double start_percent = 0.0;    ///< window in share of this run's evaluations, 0..1
  double end_percent = 1.0;
  std::string value = "hold";       ///< stand-in for what is not computed
  int64_t max_age = 0;              ///< oldest value, in evaluations, that may be inherited; 0 = no limit
  double threshold = 0.0;           ///< relative change that adaptive modes let pass
  std::string full_at = {};         ///< mode "explicit": list or mask of the full evaluations
  std::string storage = "compute";  ///< how features are kept
  int64_t first_full = 0;           ///< this many evaluations at the start of the window are full
  int64_t last_full = 0;            ///< this many before its end are full
  std::string speed = "custom";     ///< another than "custom" stands in for all of the above but value and storage

  /// By the names of the nodes' inputs.
  static constexpr auto fields() {
    using Self = InheritanceRequest;
    return std::tuple{std::pair{"level", &Self::level},
                      std::pair{"sites", &Self::sites},
                      std::pair{"mode", &Self::mode},
                      std::pair{"interval", &Self::interval},
                      std::pair{"full_evaluations", &Self::full_evaluations},
                      std::pair{"start_percent", &Self::start_percent},
                      std::pair{"end_percent", &Self::end_percent},
                      std::pair{"value", &Self::value},
                      std::pair{"max_age", &Self::max_age},
                      std::pair{"threshold", &Self::threshold},
                      std::pair{"full_at", &Self::full_at},
                      std::pair{"storage", &Self::storage},
                      std::pair{"first_full", &Self::first_full},
                      std::pair{"last_full", &Self::last_full},
                      std::pair{"speed", &Self::speed}};
  }
};

}  // namespace asdm
