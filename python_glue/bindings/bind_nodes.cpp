// Bindings of nodes/: the schemas, and running a node against a Python host.
#include <pybind11/stl.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "native/base/error.h"
#include "native/planning/resolved_settings.h"
#include "nodes/registry.h"
#include "nodes/report_headline.h"
#include "nodes/schema_json.h"
#include "python_glue/bindings/module.h"
#include "python_glue/bindings/node_values.h"
#include "python_glue/bindings/python_host.h"
#include "python_glue/bindings/text.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

/// Throws Error naming the input where an object is not what the input takes. The host knows by what it tells.
void check_objects(const nodes::NodeSchema& schema, const py::object& host,
                   const std::map<std::string, nodes::Value>& values) {
  for (const nodes::InputSchema& input : schema.inputs) {
    const auto found = values.find(input.name);
    if (found == values.end() || !std::holds_alternative<nodes::Handle>(found->second)) {
      continue;
    }
    const py::object object = object_of(std::get<nodes::Handle>(found->second));
    const py::object expected = host.attr("expected_instead")(nodes::to_string(input.kind), object);
    if (!expected.is_none()) {
      throw invalid_input(schema.id + "." + input.name, expected.cast<std::string>(),
                          py::type::of(object).attr("__name__").cast<std::string>());
    }
  }
}

/// Runs the node; what goes wrong inside names it.
nodes::Result run(const nodes::Node& node, const std::string& node_id, nodes::Host& host,
                  std::map<std::string, nodes::Value> values) {
  try {
    return node.execute(host, std::move(values));
  } catch (const Error& error) {
    if (error.where().starts_with(node_id)) {
      throw;
    }
    throw error.inside(node_id);
  } catch (py::error_already_set& error) {
    const py::gil_scoped_acquire gil;
    // It may quote the name of a file that is no text.
    const auto message = py::str(error.value()).attr("encode")("utf-8", "replace").cast<std::string>();
    if (!error.matches(PyExc_ValueError) || message.find(node_id) != std::string::npos) {
      throw;
    }
    py::raise_from(error, PyExc_ValueError, (node_id + ": " + message).c_str());
    throw py::error_already_set();
  }
}

py::dict execute(const std::string& node_id, const py::object& host, const py::dict& inputs) {
  const nodes::Node& node = nodes::find_node(node_id);
  auto values = values_from_python(node.schema(), inputs);
  check_objects(node.schema(), host, values);
  PyHost adapter(host);
  nodes::Result result;
  {
    // Nodes read and write files; PyHost and PyHandle take the GIL where they touch Python.
    const py::gil_scoped_release nogil;
    result = run(node, node_id, adapter, std::move(values));
  }
  py::tuple outputs(result.outputs.size());
  for (size_t i = 0; i < result.outputs.size(); ++i) {
    outputs[i] = value_to_python(std::move(result.outputs[i]));
  }
  py::dict out;
  out["outputs"] = std::move(outputs);
  out["ui_text"] = result.ui_text ? py::object(python_text(*result.ui_text)) : py::none();
  out["ui_image"] = result.ui_image ? object_of(result.ui_image) : py::none();
  return out;
}

/// Throws Error naming the input where what a user wrote into `widgets` makes no sense, whatever model comes.
void check(const std::string& node_id, const py::dict& widgets) {
  const nodes::Node& node = nodes::find_node(node_id);
  const std::optional<nodes::Inheritance> asked = node.check(values_from_python(node.schema(), widgets));
  if (!asked) {
    return;
  }
  try {
    std::visit([](const auto& inheritance) { check_without_unet(inheritance); }, *asked);
  } catch (const Error& error) {
    throw error.inside(std::holds_alternative<Plan>(*asked) ? node_id + ".plan" : node_id);
  }
}

}  // namespace

void init_nodes(py::module_& m) {
  m.def("schemas_json", &nodes::schemas_json, "All node schemas; the text of python_glue/schemas.json.");
  m.def("check", &check, py::arg("node_id"), py::arg("widgets"),
        "Looks at widgets before there is any model; those that are not there have their defaults. ValueError naming "
        "the input.");
  m.def(
      "run_headline", [](const std::string& report) { return nodes::report_headline(report); }, py::arg("report"),
      "What a run gained, in one line; of the JSON of docs/report.md.");
  m.def("run_hints", &nodes::report_hints, py::arg("report"), "What a user should know of how a run was set up.");
  m.def("execute", &execute, py::arg("node_id"), py::arg("host"), py::arg("inputs"),
        "Runs a node: {\"outputs\": tuple in schema order, \"ui_text\": str or None, \"ui_image\": IMAGE or None}. "
        "`host` has the methods of nodes/host.h.");
}

}  // namespace asdm::python
