// Bindings of native/format: UNetSpec as JSON text, safetensors files as views.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include "native/format/plan.h"
#include "native/format/safetensors.h"
#include "native/format/unet_spec.h"
#include "python_glue/bindings/bind_format.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

/// Exports a tensor's bytes to Python's buffer protocol. A memoryview holds its exporter, and with it the mapping.
struct TensorBytes {
  std::shared_ptr<const MappedFile> mapping;
  std::span<const std::byte> bytes;
};

py::buffer_info export_bytes(const TensorBytes& tensor) {
  // Python's buffer takes a pointer to non-const; `readonly` keeps writers out.
  auto* data = const_cast<std::byte*>(tensor.bytes.data());
  const auto size = static_cast<py::ssize_t>(tensor.bytes.size());
  return {data, 1, py::format_descriptor<uint8_t>::format(), 1, {size}, {py::ssize_t{1}}, /*readonly=*/true};
}

py::list tensor_list(const SafetensorsFile& file) {
  py::list out;
  for (const TensorView& view : file.tensors()) {
    const py::object exporter = py::cast(TensorBytes{file.mapping(), view.bytes});
    out.append(py::make_tuple(view.name, std::string(to_string(view.dtype)), py::tuple(py::cast(view.shape)),
                              py::memoryview(exporter)));
  }
  return out;
}

/// Through the reader, so that what is recorded can be replayed.
std::string plan_json(const std::string& family, int64_t steps, const std::string& value, const std::string& storage,
                      const std::vector<std::pair<double, std::vector<std::string>>>& evaluations) {
  Plan plan{family, steps, value, storage, {}};
  for (const auto& [sigma, sites] : evaluations) {
    plan.evaluations.push_back({sigma, sites});
  }
  std::string text = to_json(plan);
  (void)plan_from_json(text);
  return text;
}

}  // namespace

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
      "read_unet_file",
      [](const std::string& path) { return layout_of(read_unet_file(SafetensorsFile::open(path))); }, py::arg("path"),
      "{\"spec_json\", \"carries_spec\", \"names\": {name in the full UNet: name in the file}} of a safetensors file in "
      "any published layout; ValueError naming the file and the fault.");
  m.def("plan_json", &plan_json, py::kw_only(), py::arg("family"), py::arg("steps"), py::arg("value"),
        py::arg("storage"), py::arg("evaluations"),
        "The JSON of a plan (docs/plan.md); `evaluations`: [(sigma, [address])]. ValueError naming what it cannot hold.");

  py::class_<TensorBytes>(m, "TensorBytes", py::buffer_protocol(), "Bytes of one tensor of a mapped file, read only.")
      .def_buffer(&export_bytes);
  py::class_<SafetensorsFile>(m, "SafetensorsFile", "An open, checked safetensors file.")
      .def_property_readonly("path", &SafetensorsFile::path)
      .def_property_readonly("metadata", &SafetensorsFile::metadata, "dict of str to str.")
      .def("tensors", &tensor_list,
           "[(name, dtype, shape, bytes)] in file order: dtype as in the file (\"F32\"), bytes a read-only memoryview "
           "that keeps the file mapped.");
  m.def("open_safetensors", &SafetensorsFile::open, py::arg("path"), py::call_guard<py::gil_scoped_release>(),
        "Maps and checks a file; ValueError naming the file and the fault.");
}

}  // namespace asdm::python
