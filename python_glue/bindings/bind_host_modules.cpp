#include "python_glue/bindings/bind_host_modules.h"

#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "native/base/error.h"
#include "native/unet/unet.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

OptionalTensor optional(const at::Tensor& tensor) { return tensor.defined() ? OptionalTensor(tensor) : std::nullopt; }

/// What the host runs, as Python functions; takes the GIL for the time of a call.
class PyHostModules final : public HostModules {
 public:
  using Parts = std::map<std::string, std::pair<py::object, bool>>;
  using Injected = std::vector<std::tuple<int64_t, int64_t, py::object>>;

  PyHostModules(const UNet& unet, const std::map<LeafId, py::object>& leaves, const Parts& parts,
                const Injected& injected, py::object code, bool runs_all, bool sees_batch)
      : leaves_(unet.leaves().size()),
        parts_(unet.parts().size()),
        runs_(unet.parts().size()),
        code_(std::move(code)),
        runs_all_(runs_all),
        sees_batch_(sees_batch),
        has_parts_(!parts.empty()) {
    for (const auto& [leaf, function] : leaves) {
      leaves_.at(static_cast<size_t>(leaf)) = function;
    }
    for (const auto& [name, part] : parts) {
      const auto found = std::find(unet.parts().begin(), unet.parts().end(), name);
      if (found == unet.parts().end()) {
        throw invalid_input("HostModules", "a part of the UNet", name);
      }
      const auto id = static_cast<size_t>(found - unet.parts().begin());
      parts_[id] = part.first;
      runs_[id] = part.second;
    }
    for (const auto& [block, position, function] : injected) {
      injected_[{block, position}] = function;
    }
  }

  ~PyHostModules() override {
    const py::gil_scoped_acquire gil;
    leaves_.clear();
    parts_.clear();
    injected_.clear();
    code_ = py::object();
  }
  PyHostModules(const PyHostModules&) = delete;
  PyHostModules& operator=(const PyHostModules&) = delete;

  [[nodiscard]] bool runs_leaf(LeafId leaf) const override { return bool(leaves_[static_cast<size_t>(leaf)]); }
  [[nodiscard]] bool runs_part(PartId part) const override { return runs_[static_cast<size_t>(part)]; }
  [[nodiscard]] bool runs_all() const override { return runs_all_; }
  [[nodiscard]] bool sees_batch() const override { return sees_batch_; }
  [[nodiscard]] bool has_injected(int64_t block, int64_t position) const override {
    return injected_.contains({block, position});
  }

  at::Tensor leaf(LeafId leaf, const at::Tensor& x) override {
    const py::gil_scoped_acquire gil;
    return leaves_[static_cast<size_t>(leaf)](x).cast<at::Tensor>();
  }

  at::Tensor part(PartId part, const at::Tensor& x, const PartInputs& inputs) override {
    return call(parts_[static_cast<size_t>(part)], x, inputs);
  }

  at::Tensor injected(int64_t block, int64_t position, const at::Tensor& h, const PartInputs& inputs) override {
    return call(injected_.at({block, position}), h, inputs);
  }

  void enter_transformer(at::IntArrayRef shape) override {
    if (has_parts_) {
      const py::gil_scoped_acquire gil;
      code_.attr("enter_transformer")(shape.vec());
    }
  }

  at::Tensor embedding(const at::Tensor& x, const at::Tensor& timesteps, const at::Tensor& y) override {
    const py::gil_scoped_acquire gil;
    return code_.attr("embedding")(x, timesteps, optional(y)).cast<at::Tensor>();
  }

  at::Tensor head(const at::Tensor& h) override {
    const py::gil_scoped_acquire gil;
    return code_.attr("head")(h).cast<at::Tensor>();
  }

 private:
  static at::Tensor call(const py::object& function, const at::Tensor& x, const PartInputs& inputs) {
    const py::gil_scoped_acquire gil;
    return function(x, optional(inputs.emb), optional(inputs.context), inputs.output_shape.vec()).cast<at::Tensor>();
  }

  std::vector<py::object> leaves_;                              ///< by LeafId; null = the engine's
  std::vector<py::object> parts_;                               ///< by PartId; null = the host has nothing to run there
  std::vector<bool> runs_;                                      ///< whether it is to
  std::map<std::pair<int64_t, int64_t>, py::object> injected_;  ///< by block and position
  py::object code_;
  bool runs_all_;
  bool sees_batch_;
  bool has_parts_;
};

}  // namespace

void bind_host_modules(py::module_& m) {
  py::class_<HostModules>(m, "HostModulesBase");
  py::class_<PyHostModules, HostModules>(m, "HostModules", "Parts of a UNet that the host's own modules compute.")
      .def(
          py::init<const UNet&, const std::map<LeafId, py::object>&, const PyHostModules::Parts&,
                   const PyHostModules::Injected&, py::object, bool, bool>(),
          py::kw_only(), py::arg("unet"), py::arg("leaves"), py::arg("parts"), py::arg("injected"), py::arg("code"),
          py::arg("runs_all"), py::arg("sees_batch"),
          "leaves: {index of the leaf: f(x)}. parts: {name: (f(x, emb, context, output_shape), whether it runs instead "
          "of the engine)}; one that does not may still run for the units inside it. injected: [(block, position, f as "
          "of parts)]. code: embedding(x, timesteps, y), head(h), enter_transformer(shape). runs_all: all layers, the "
          "embedding and the head are the host's. sees_batch: some part mixes the samples of a batch.");
}

}  // namespace asdm::python
