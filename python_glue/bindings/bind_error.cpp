// asdm::Error becomes ValueError where the caller's input is at fault, else RuntimeError.
#include <exception>

#include "native/base/error.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {

void init_errors(py::module_&) {
  // Local: other extension modules in this process keep their own translators, and never see this type.
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) {
        std::rethrow_exception(thrown);
      }
    } catch (const Error& error) {
      PyObject* type = error.kind() == ErrorKind::kInvalidInput ? PyExc_ValueError : PyExc_RuntimeError;
      py::set_error(type, error.what());
    }
  });
}

}  // namespace asdm::python
