#include "python_glue/bindings/node_values.h"

#include <memory>
#include <utility>

#include "native/base/error.h"
#include "python_glue/bindings/python_host.h"
#include "python_glue/bindings/text.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

using nodes::Kind;
using nodes::Value;

Value widget_from_python(const std::string& where, Kind kind, const py::handle& object) {
  if (py::isinstance<py::bool_>(object)) {
    return object.cast<bool>();
  }
  if (py::isinstance<py::int_>(object)) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
    if (overflow != 0) {
      throw invalid_input(where, "an integer of at most 64 bits", py::str(object).cast<std::string>());
    }
    return static_cast<int64_t>(value);
  }
  if (py::isinstance<py::float_>(object)) {
    return object.cast<double>();
  }
  if (py::isinstance<py::str>(object)) {
    return text_of(object, where);
  }
  throw invalid_input(where, std::string(nodes::to_string(kind)),
                      "an object of type " + py::type::of(object).attr("__name__").cast<std::string>());
}

Value value_from_python(const std::string& where, Kind kind, const py::handle& object) {
  if (object.is_none()) {
    return std::monostate{};
  }
  switch (kind) {
    case Kind::kModel:
    case Kind::kLatent:
    case Kind::kConditioning:
    case Kind::kSampler:
    case Kind::kImage:
      return nodes::Handle(std::make_shared<PyHandle>(py::reinterpret_borrow<py::object>(object)));
    case Kind::kString:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kCombo:
      return widget_from_python(where, kind, object);
  }
  throw internal_fault(where, "a kind without a conversion");
}

struct ToPython {
  py::object operator()(std::monostate) const { return py::none(); }
  py::object operator()(bool value) const { return py::bool_(value); }
  py::object operator()(int64_t value) const { return py::int_(value); }
  py::object operator()(double value) const { return py::float_(value); }
  py::object operator()(const std::string& value) const { return python_text(value); }
  py::object operator()(const nodes::Handle& value) const { return object_of(value); }
};

}  // namespace

std::map<std::string, Value> values_from_python(const nodes::NodeSchema& schema, const py::dict& inputs) {
  std::map<std::string, Value> values;
  for (const auto& [key, object] : inputs) {
    const auto name = py::str(key).cast<std::string>();
    values[name] = std::monostate{};  // a name the schema lacks: the node refuses it, listing those it knows
    for (const nodes::InputSchema& input : schema.inputs) {
      if (input.name == name) {
        values[name] = value_from_python(schema.id + "." + name, input.kind, object);
      }
    }
  }
  return values;
}

py::object value_to_python(Value value) { return std::visit(ToPython{}, value); }

}  // namespace asdm::python
