// Structs that name their fields (native/base/fields.h), as Python sees them.
#pragma once

#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "native/base/error.h"
#include "native/base/fields.h"

namespace asdm::python {

/// A struct out of keyword arguments; those that are left out keep their defaults. Throws Error at `where` for a name
/// that it does not have, listing the known ones, and for a value of another type.
template <class Struct>
Struct from_kwargs(const std::string& where, const pybind11::kwargs& given) {
  Struct values;
  std::vector<std::string> known;
  for_each_field<Struct>([&](const char* name, auto member) {
    known.emplace_back(name);
    if (!given.contains(name)) {
      return;
    }
    try {
      values.*member = given[name].template cast<std::remove_reference_t<decltype(values.*member)>>();
    } catch (const pybind11::cast_error&) {
      throw invalid_input(where + "." + name, "a value of its type", std::string(pybind11::repr(given[name])));
    }
  });
  for (const auto& [key, value] : given) {
    const auto name = pybind11::cast<std::string>(key);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw unknown_name(where, name, known);
    }
  }
  return values;
}

/// Gives a bound struct its fields, to be read only.
template <class Class>
void def_fields(Class& bound) {
  for_each_field<typename Class::type>([&](const char* name, auto member) { bound.def_readonly(name, member); });
}

}  // namespace asdm::python
