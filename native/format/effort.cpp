#include "native/format/effort.h"

#include <array>
#include <utility>

#include "native/base/name_table.h"

namespace asdm {
namespace {

constexpr std::array kEfforts = {std::pair{"quick", int64_t{6}}, std::pair{"normal", int64_t{12}},
                                 std::pair{"thorough", int64_t{24}}};

}  // namespace

int64_t runs_from(std::string_view effort) { return value_named(kEfforts, "effort", effort); }
std::vector<std::string> effort_names() { return names_of(kEfforts); }

}  // namespace asdm
