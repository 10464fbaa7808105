// The run report as JSON (docs/report.md). It is the pack's own, so one that breaks the rules is an internal fault.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "native/base/error.h"

namespace asdm::nodes {

/// `read(report)`; throws Error where the text is no JSON or lacks what `read` asks of it.
template <typename Read>
auto read_report(std::string_view text, Read read) {
  try {
    return read(nlohmann::json::parse(text.begin(), text.end()));
  } catch (const nlohmann::json::exception& error) {
    throw internal_fault("ASDMReport", std::string("the run report does not follow docs/report.md: ") + error.what());
  }
}

/// Whether the report is of a run; else no run of the model made the latent.
[[nodiscard]] inline bool found_run(const nlohmann::json& report) { return report.at("found").get<bool>(); }

inline constexpr const char* kNoRun = "no run of this model made this latent";

}  // namespace asdm::nodes
