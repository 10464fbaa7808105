// How long looking for a plan may take, by the names that users and workflows know.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace asdm {

/// Runs that an effort allows, all of them counted. Throws Error that lists the known names for another one.
[[nodiscard]] int64_t runs_from(std::string_view effort);
[[nodiscard]] std::vector<std::string> effort_names();

}  // namespace asdm
