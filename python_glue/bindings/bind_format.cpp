// Bindings of native/format: UNetSpec as JSON text, the UNets of safetensors files.
#include "python_glue/bindings/bind_format.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "native/format/safetensors.h"
#include "native/format/unet_spec.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {

py::dict layout_of(const UNetFile& file) {
  py::dict layout;
  layout["spec_json"] = to_json(file.spec);
  layout["carries_spec"] = file.carries_spec;
  layout["names"] = file.names;
  return layout;
}

void init_format(py::module_& m) {
  m.attr("SPEC_METADATA_KEY") = std::string(kSpecMetadataKey);
  m.def("preset_names", &preset_names, "Names of the published UNets.");
  m.def(
      "preset_spec",
      [](const std::string& name, int64_t model_channels) { return to_json(preset_spec(name, model_channels)); },
      py::arg("name"), py::arg("model_channels") = 0,
      "UNetSpec (JSON) of a published UNet; another model_channels scales the width of every level.");
  m.def(
      "check_spec", [](const std::string& json) { return to_json(spec_from_json(json)); }, py::arg("spec_json"),
      "The same UNetSpec in canonical JSON; ValueError naming the field that is wrong.");

  m.def(
      "read_unet_file", [](const std::string& path) { return layout_of(read_unet_file(SafetensorsFile::open(path))); },
      py::arg("path"),
      "{\"spec_json\", \"carries_spec\", \"names\": {name in the full UNet: name in the file}} of a safetensors file "
      "in any published layout; ValueError naming the file and the fault.");
}

}  // namespace asdm::python
