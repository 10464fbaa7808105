// Bindings of native/format: UNetSpec, the UNets of safetensors files.
#include "python_glue/bindings/bind_format.h"

#include <pybind11/stl.h>

#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "native/base/fields.h"
#include "native/format/safetensors.h"
#include "native/format/unet_spec.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {

namespace {

/// The keys and values of its JSON.
py::dict fields_of(const UNetSpec& spec) { return py::module_::import("json").attr("loads")(to_json(spec)); }

/// Through the reader, which knows what is legal.
UNetSpec spec_of(const py::dict& fields) {
  return spec_from_json(py::module_::import("json").attr("dumps")(fields).cast<std::string>());
}

UNetSpec with(const UNetSpec& spec, const py::kwargs& changes) {
  py::dict fields = fields_of(spec);
  fields.attr("update")(changes);
  return spec_of(fields);
}

template <class Value>
py::object field_to_python(const Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    return py::str(std::string(to_string(value)));
  } else {
    return py::cast(value);
  }
}

void bind_unet_spec(py::module_& m) {
  py::class_<UNetSpec> spec(m, "UNetSpec", "The structure of a UNet, which never changes.");
  spec.def(py::init([](const py::kwargs& changes) { return with(UNetSpec(), changes); }),
           "By the keys of its JSON. ValueError naming the field that makes it no legal UNet.")
      .def_static("from_json", &spec_from_json, py::arg("json"), "ValueError naming the field that is wrong.")
      .def("json", [](const UNetSpec& self) { return to_json(self); })
      .def("fields", &fields_of, "The keys and values of its JSON.")
      .def("replace", &with, "Another one with these fields changed. ValueError as above.")
      .def_readonly("removed", &UNetSpec::removed)
      .def_property_readonly("has_experts", [](const UNetSpec& self) { return !self.me_cond_conv.empty(); })
      .def(
          "__eq__", [](const UNetSpec& self, const UNetSpec& other) { return self == other; }, py::is_operator())
      .def("__hash__", [](const UNetSpec& self) { return std::hash<std::string>()(to_json(self)); })
      .def(py::pickle([](const UNetSpec& self) { return to_json(self); },
                      [](const std::string& json) { return spec_from_json(json); }));
  for_each_field<UNetSpec>([&](const char* name, auto member) {
    spec.def_property_readonly(name, [member](const UNetSpec& self) { return field_to_python(self.*member); });
  });
}

}  // namespace

py::dict layout_of(const UNetFile& file) {
  py::dict layout;
  layout["spec"] = file.spec;
  layout["carries_spec"] = file.carries_spec;
  layout["names"] = file.names;
  return layout;
}

void init_format(py::module_& m) {
  m.attr("SPEC_METADATA_KEY") = std::string(kSpecMetadataKey);
  bind_unet_spec(m);
  m.def("preset_spec", &preset_spec, py::arg("name"), py::arg("model_channels") = 0,
        "UNetSpec of a published UNet; another model_channels scales the width of every level.");
  m.def(
      "read_unet_file", [](const std::string& path) { return layout_of(read_unet_file(SafetensorsFile::open(path))); },
      py::arg("path"),
      "{\"spec\", \"carries_spec\", \"names\": {name in the full UNet: name in the file}} of a safetensors file "
      "in any published layout; ValueError naming the file and the fault.");
}

}  // namespace asdm::python
