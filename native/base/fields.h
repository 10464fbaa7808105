// The members of a struct by the names that users, workflows and Python know them by.
#pragma once

#include <tuple>
#include <utility>

namespace asdm {

/// Calls `visit(name, member)` for each of `Struct::fields()`, a tuple of (name, pointer to member): the one place that
/// lists them.
template <class Struct, class Visit>
constexpr void for_each_field(Visit visit) {
  std::apply([&](const auto&... field) { (visit(field.first, field.second), ...); }, Struct::fields());
}

}  // namespace asdm
