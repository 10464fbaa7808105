// Which of the inputs that place full evaluations a time-step mode reads. The front end greys the others by it, and
// tooltips name them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace asdm {

/// Names of the modes that read `input` ("interval", "full_evaluations", "threshold", "full_at"), in their order. All
/// of them for an input that no mode leaves out.
[[nodiscard]] std::vector<std::string> modes_that_read(std::string_view input);

/// The modes that read "interval" beside a "full_evaluations" above 0, too.
[[nodiscard]] std::vector<std::string> modes_of_interval_and_count();

}  // namespace asdm
