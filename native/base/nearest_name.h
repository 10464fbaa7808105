// What somebody may have meant who wrote a name that is not known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/base/error.h"

namespace asdm {

/// The one of `known` that is the fewest letters away from `name` (left out, too many or wrong; capitals aside); empty
/// where none is near: more than a third of the letters away, or as near as another.
[[nodiscard]] std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

/// unknown_name() where more names are known than the message shall list: `nearest` is what may have been meant, or
/// empty.
[[nodiscard]] Error unknown_name_near(std::string_view where, std::string_view name,
                                      const std::vector<std::string>& known, const std::string& nearest);

}  // namespace asdm
