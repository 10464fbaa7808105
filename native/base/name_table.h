// Names of enumerators: what users write, and what it stands for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/base/error.h"

namespace asdm {

/// The names in `table`, a range of (name, value), in its order.
template <class Table>
std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const auto& [name, value] : table) {
    names.emplace_back(name);
  }
  return names;
}

/// What `name` stands for in `table`. Throws Error that names `where` and lists the known names.
template <class Table>
auto value_named(const Table& table, std::string_view where, std::string_view name) {
  for (const auto& [known, value] : table) {
    if (name == known) {
      return value;
    }
  }
  throw unknown_name(where, name, names_of(table));
}

/// The name in `table` of `value`, which has one.
template <class Table, class Value>
std::string name_of(const Table& table, const Value& value) {
  for (const auto& [name, known] : table) {
    if (known == value) {
      return name;
    }
  }
  throw internal_fault("name_of", "a value without a name");
}

}  // namespace asdm
