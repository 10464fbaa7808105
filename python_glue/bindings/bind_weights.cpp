#include "python_glue/bindings/bind_weights.h"

#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <memory>
#include <optional>
#include <utility>

#include "native/base/error.h"
#include "native/unet/unet.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
using GivenLeaf = std::pair<at::Tensor, OptionalTensor>;

/// A Python object destroyed under the GIL, wherever the last reference goes.
std::shared_ptr<void> lease_of(py::object object) {
  if (object.is_none()) {
    return nullptr;
  }
  auto* held = new py::object(std::move(object));
  return {held, [](void* pointer) {
            const py::gil_scoped_acquire gil;
            auto* release = static_cast<py::object*>(pointer);
            try {
              (*release)();
            } catch (py::error_already_set& error) {
              error.discard_as_unraisable("giving a borrowed weight back to the host");
            }
            delete release;
          }};
}

/// Leaves given as tensors are used as they are (and cast where the dtype differs); for the others the host is asked
/// at each use, so that offloaded weights never pile up.
class HostWeights final : public WeightSource {
 public:
  /// `given`: (weight, bias or None), or None, for each leaf.
  HostWeights(const UNet& unet, const std::vector<py::object>& given, py::object fetch) : fetch_(std::move(fetch)) {
    std::vector<LeafInfo> resident_leaves;
    std::vector<LeafTensors> tensors;
    for (size_t i = 0; i < given.size(); ++i) {
      resident_index_.push_back(given[i].is_none() ? -1 : static_cast<LeafId>(tensors.size()));
      if (!given[i].is_none()) {
        const auto [weight, bias] = given[i].cast<GivenLeaf>();
        resident_leaves.push_back(unet.leaves().at(i));
        tensors.push_back({weight, bias.value_or(at::Tensor()), nullptr});
      }
    }
    leaves_ = unet.leaves();
    if (resident_index_.size() != leaves_.size()) {
      throw internal_fault("HostWeights", "one entry per leaf is due");
    }
    resident_ = std::make_unique<ResidentWeights>(resident_leaves, std::move(tensors));
  }

  ~HostWeights() override {
    const py::gil_scoped_acquire gil;
    fetch_ = py::object();
  }
  HostWeights(const HostWeights&) = delete;
  HostWeights& operator=(const HostWeights&) = delete;

  LeafTensors fetch(LeafId leaf, const at::Tensor& input) override {
    const auto index = static_cast<size_t>(leaf);
    if (resident_index_[index] >= 0) {
      return resident_->fetch(resident_index_[index], input);
    }
    const py::gil_scoped_acquire gil;
    const auto [weight, bias, release] = fetch_(leaf, input).cast<std::tuple<at::Tensor, OptionalTensor, py::object>>();
    LeafTensors tensors{weight, bias.value_or(at::Tensor()), lease_of(release)};
    check_leaf(leaves_[index], tensors);
    return tensors;
  }

 private:
  std::vector<LeafInfo> leaves_;
  std::vector<LeafId> resident_index_;  ///< by leaf: index into resident_, or -1
  std::unique_ptr<ResidentWeights> resident_;
  py::object fetch_;
};

}  // namespace

void bind_weights(py::module_& m) {
  py::class_<WeightSource>(m, "WeightSource");
  py::class_<HostWeights, WeightSource>(m, "HostWeights", "Weights of a hosted model for one or more calls.")
      .def(py::init<const UNet&, const std::vector<py::object>&, py::object>(), py::arg("unet"), py::arg("leaves"),
           py::arg("fetch"),
           "leaves: per leaf (weight, bias or None), or None where fetch(leaf index, input) -> (weight, bias or None, "
           "release or None) is to be asked at each use.");
}

}  // namespace asdm::python
