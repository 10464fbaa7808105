// Whether Python's dicts and lists still hold the objects that they held: thousands of comparisons of pointers before
// each call of a UNet, which in Python itself would take a percent of it. Modules and tensors are known by weak
// references: a snapshot outlives runs, and must not keep a UNet or the weights that the host put away.
#include "python_glue/bindings/bind_snapshot.h"

#include <pybind11/stl.h>
#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace {

using Named = std::pair<py::dict, std::vector<py::object>>;  ///< a dict, and the names in it that count

PyObject* referred(const py::weakref& reference) { return PyWeakref_GetObject(reference.ptr()); }

/// An object, compared by what it is; empty for none.
class Known {
 public:
  explicit Known(PyObject* object) {
    if (object != nullptr && THPVariable_Check(object)) {
      tensor_ = py::weakref(object);
    } else {
      object_ = py::reinterpret_borrow<py::object>(object);
    }
  }

  [[nodiscard]] bool is(const PyObject* now) const { return (tensor_ ? referred(tensor_) : object_.ptr()) == now; }

 private:
  py::object object_;
  py::weakref tensor_;
};

class Snapshot {
 public:
  Snapshot(const std::vector<py::object>& objects, const std::vector<Named>& named, const std::vector<py::dict>& dicts,
           const std::vector<py::list>& lists) {
    for (const py::object& object : objects) {
      classes_.emplace_back(py::weakref(object), py::type::of(object));
    }
    for (const auto& [dict, names] : named) {
      take(dict, names);
    }
    for (const py::dict& dict : dicts) {
      sizes_.emplace_back(dict, dict.size());
      take(dict, py::list(dict).cast<std::vector<py::object>>());
    }
    for (const py::list& list : lists) {
      std::vector<Known>& known = lists_.emplace_back(list, std::vector<Known>()).second;
      for (const py::handle element : list) {
        known.emplace_back(element.ptr());
      }
    }
  }

  [[nodiscard]] bool holds() const {
    return std::all_of(classes_.begin(), classes_.end(),
                       [](const auto& of) { return py::type::handle_of(referred(of.first)).is(of.second); }) &&
           std::all_of(sizes_.begin(), sizes_.end(), [](const auto& of) { return of.first.size() == of.second; }) &&
           std::all_of(entries_.begin(), entries_.end(),
                       [](const Entry& entry) { return entry.value.is(value_of(entry.dict, entry.name)); }) &&
           std::all_of(lists_.begin(), lists_.end(), [](const auto& of) {
             return std::equal(of.first.begin(), of.first.end(), of.second.begin(), of.second.end(),
                               [](py::handle now, const Known& before) { return before.is(now.ptr()); });
           });
  }

 private:
  struct Entry {
    py::dict dict;
    py::object name;
    Known value;
  };

  static PyObject* value_of(const py::dict& dict, const py::object& name) {
    PyObject* value = PyDict_GetItemWithError(dict.ptr(), name.ptr());
    if (value == nullptr && PyErr_Occurred() != nullptr) {
      throw py::error_already_set();
    }
    return value;
  }

  void take(const py::dict& dict, const std::vector<py::object>& names) {
    for (const py::object& name : names) {
      entries_.push_back({dict, name, Known(value_of(dict, name))});
    }
  }

  std::vector<std::pair<py::weakref, py::object>> classes_;
  std::vector<Entry> entries_;
  std::vector<std::pair<py::dict, size_t>> sizes_;
  std::vector<std::pair<py::list, std::vector<Known>>> lists_;
};

}  // namespace

namespace asdm::python {

void init_snapshot(py::module_& m) {
  py::class_<Snapshot>(m, "Snapshot", "What objects were and what dicts and lists held when it was taken.")
      .def(
          py::init<const std::vector<py::object>&, const std::vector<Named>&, const std::vector<py::dict>&,
                   const std::vector<py::list>&>(),
          py::arg("objects"), py::arg("named"), py::arg("dicts"), py::arg("lists"),
          "Of `objects`, which it does not keep alive, the class counts. `named`: [(dict, [the names in it that count])]; of `dicts` and `lists` all that they hold does.")
      .def("holds", &Snapshot::holds, "Whether they hold the same objects still.");
}

}  // namespace asdm::python
