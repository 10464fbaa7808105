// Text between Python and C++. Names of files may hold bytes that are no UTF-8, which Python keeps as surrogates.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>

#include "native/base/error.h"

namespace asdm::python {

/// The bytes of a Python string. Throws Error at `where` for surrogates that stand for none.
inline std::string text_of(const pybind11::handle& text, std::string_view where) {
  const auto encoded = [&](const char* errors) {
    auto* bytes = PyUnicode_AsEncodedString(text.ptr(), "utf-8", errors);
    return pybind11::reinterpret_steal<pybind11::bytes>(bytes);
  };
  if (const pybind11::bytes bytes = encoded("surrogateescape")) {
    return bytes;
  }
  PyErr_Clear();
  throw invalid_input(where, "text", "'" + std::string(encoded("surrogatepass")) + "', which holds half a character");
}

/// A message, with U+FFFD where it is no UTF-8.
inline pybind11::str readable(std::string_view text) {
  return pybind11::reinterpret_steal<pybind11::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

/// The Python string of these bytes.
inline pybind11::str python_text(std::string_view text) {
  return pybind11::reinterpret_steal<pybind11::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

}  // namespace asdm::python
