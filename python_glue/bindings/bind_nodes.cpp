// Bindings of nodes/: the schemas, and running a node against a Python host.
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "nodes/registry.h"
#include "nodes/schema_json.h"
#include "python_glue/bindings/module.h"
#include "python_glue/bindings/node_values.h"
#include "python_glue/bindings/python_host.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

std::vector<std::string> list_nodes() {
  std::vector<std::string> ids;
  for (const auto& node : nodes::all_nodes()) {
    ids.push_back(node->schema().id);
  }
  return ids;
}

py::dict execute(const std::string& node_id, const py::object& host, const py::dict& inputs) {
  const nodes::Node& node = nodes::find_node(node_id);
  auto values = values_from_python(node.schema(), inputs);
  PyHost adapter(host);
  nodes::Result result;
  {
    // Nodes read and write files; PyHost and PyHandle take the GIL where they touch Python.
    const py::gil_scoped_release nogil;
    result = node.execute(adapter, std::move(values));
  }
  py::tuple outputs(result.outputs.size());
  for (size_t i = 0; i < result.outputs.size(); ++i) {
    outputs[i] = value_to_python(std::move(result.outputs[i]));
  }
  py::dict out;
  out["outputs"] = std::move(outputs);
  out["ui_text"] = result.ui_text;
  out["ui_image"] = result.ui_image ? object_of(result.ui_image) : py::none();
  out["plan"] = result.plan;
  return out;
}

}  // namespace

void init_nodes(py::module_& m) {
  m.def("list_nodes", &list_nodes, "Ids of all nodes.");
  m.def("schemas_json", &nodes::schemas_json, "All node schemas; the text of python_glue/schemas.json.");
  m.def("execute", &execute, py::arg("node_id"), py::arg("host"), py::arg("inputs"),
        "Runs a node: {\"outputs\": tuple in schema order, \"ui_text\": str or None, \"ui_image\": IMAGE or None, "
        "\"plan\": JSON text, empty for none}. `host` has the methods of nodes/host.h.");
}

}  // namespace asdm::python
