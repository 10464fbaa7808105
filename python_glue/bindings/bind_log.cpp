// The core's messages go to Python's logging.getLogger("asdm"). Configures no handlers: that is the host's.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "native/base/log.h"
#include "python_glue/bindings/module.h"
#include "python_glue/bindings/text.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

/// The level numbers of Python's logging: 10, 20, 30, 40.
int python_level(log::Level level) { return 10 * (static_cast<int>(level) + 1); }

log::Level level_of(int python_level) {
  return static_cast<log::Level>(std::clamp((python_level + 9) / 10 - 1, 0, static_cast<int>(log::Level::kError)));
}

}  // namespace

void init_log(py::module_& m) {
  m.def(
      "set_log_level", [](int level) { log::set_level(level_of(level)); }, py::arg("level"),
      "Of Python's logging: what the core would say below it is not said.");
  // Leaked on purpose: the sink outlives the interpreter, where a reference count may no longer be touched.
  auto* logger = new py::object(py::module_::import("logging").attr("getLogger")("asdm"));
  log::set_sink([logger](log::Level level, std::string_view message) {
    const py::gil_scoped_acquire gil;
    try {
      logger->attr("log")(python_level(level), "%s", readable(message));
    } catch (py::error_already_set& error) {  // a handler that raises must not end a sampling run
      error.discard_as_unraisable("forwarding a message of ComfyUI-ASDM to logging");
    }
  });
  // The GIL can no longer be taken once the interpreter goes down: from then on messages go to stderr.
  py::module_::import("atexit").attr("register")(py::cpp_function([] { log::set_sink({}); }));
}

}  // namespace asdm::python
