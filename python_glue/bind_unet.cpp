// Bindings of native/unet: structure, addresses, cost and forward.
#include <optional>
#include <string>
#include <vector>

#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include "native/unet/cost.h"
#include "native/unet/profile.h"
#include "native/unet/sites.h"
#include "native/unet/unet.h"
#include "python_glue/bind_hooks.h"
#include "python_glue/bind_weights.h"
#include "python_glue/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
using Residuals = std::vector<OptionalTensor>;

std::vector<at::Tensor> to_tensors(const Residuals& residuals) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(residuals.size());
  for (const OptionalTensor& residual : residuals) {
    tensors.push_back(residual.value_or(at::Tensor()));
  }
  return tensors;
}

at::Tensor forward(const UNet& unet, const at::Tensor& x, const at::Tensor& timesteps, const at::Tensor& context,
                   const OptionalTensor& y, const std::map<std::string, Residuals>& control, WeightSource& weights,
                   const py::object& hooks, CallFeatures& features, Profile* profile) {
  ForwardInputs inputs{.x = x, .timesteps = timesteps, .context = context, .y = y.value_or(at::Tensor()), .control = {}};
  const auto residuals = [&](const char* name) {
    const auto found = control.find(name);
    return found == control.end() ? std::vector<at::Tensor>() : to_tensors(found->second);
  };
  inputs.control = {residuals("input"), residuals("middle"), residuals("output")};
  PyHooks py_hooks(hooks);
  const py::gil_scoped_release release;
  return unet.forward(inputs, weights, py_hooks, features, profile);
}

py::list leaf_list(const UNet& unet) {
  py::list leaves;
  for (const LeafInfo& leaf : unet.leaves()) {
    leaves.append(py::make_tuple(leaf.name, leaf.shape, leaf.has_bias));
  }
  return leaves;
}

py::list layer_list(const UNet& unet) {
  py::list layers;
  for (const BlockTopology& block : unet.topology().blocks) {
    for (const LayerTopology& layer : block.layers) {
      layers.append(py::make_tuple(layer.address, layer.key));
    }
  }
  return layers;
}

std::vector<std::string> node_addresses(const UNet& unet) {
  std::vector<std::string> addresses;
  for (const BlockTopology& block : unet.topology().blocks) {
    addresses.push_back(block.address);
  }
  return addresses;
}

py::list profile_entries(const Profile& profile) {
  py::list entries;
  for (const Profile::Entry& entry : profile.entries()) {
    entries.append(py::make_tuple(entry.address, entry.calls, entry.seconds));
  }
  return entries;
}

py::list macs_by_address(const UNet& unet, int64_t height, int64_t width, int64_t tokens) {
  py::list costs;
  for (const AddressCost& cost : address_macs(unet.topology(), height, width, tokens)) {
    costs.append(py::make_tuple(cost.address, cost.macs));
  }
  return costs;
}

std::vector<int64_t> node_macs(const UNet& unet, int64_t height, int64_t width, int64_t tokens) {
  return block_macs(unet.topology(), height, width, tokens);
}

}  // namespace

void init_unet(py::module_& m) {
  bind_weights(m);
  py::class_<Profile>(m, "Profile", "Where the time of forward calls goes, by address.")
      .def(py::init([](const std::string& device) { return Profile(c10::Device(device)); }), py::arg("device"))
      .def_property_readonly("entries", &profile_entries,
                             "[(address, calls, seconds)]; the seconds of a part include those of the parts in it.");
  py::class_<UNet>(m, "UNet", "A Stable Diffusion UNet: structure, addresses and native forward. Holds no weights.")
      .def(py::init([](const std::string& spec_json) { return std::make_unique<UNet>(spec_from_json(spec_json)); }),
           py::arg("spec_json"))
      .def("leaves", &leaf_list, "[(checkpoint name, weight shape, has bias)] in the order that weights are given.")
      .def("layers", &layer_list, "[(address, checkpoint prefix)] in evaluation order.")
      .def("node_addresses", &node_addresses, "Address of each node of the graph (its blocks), by node id.")
      .def("node_channels",
           [](const UNet& unet) {
             std::vector<std::pair<int64_t, int64_t>> channels;
             for (const BlockTopology& block : unet.topology().blocks) {
               const bool down = !block.layers.empty() && block.layers.back().kind == LayerKind::kDown;
               const bool up = !block.layers.empty() && block.layers.back().kind == LayerKind::kUp;
               channels.emplace_back(block.out_channels, block.level + (down ? 1 : 0) - (up ? 1 : 0));
             }
             return channels;
           },
           "(channels, level) of each node's value; its size is the latent's over 2^level, rounded up.")
      .def("node_macs", &node_macs, py::arg("height"), py::arg("width"), py::arg("tokens"),
           "Multiply-accumulates of each node for one sample.")
      .def("address_macs", &macs_by_address, py::arg("height"), py::arg("width"), py::arg("tokens"),
           "[(address, multiply-accumulates of one sample)] of all blocks, layers and units.")
      .def("output_macs",
           [](const UNet& unet, int64_t height, int64_t width) {
             return output_macs(unet.topology(), unet.spec().out_channels, height, width);
           },
           py::arg("height"), py::arg("width"))
      .def("resolve_sites",
           [](const UNet& unet, const std::string& sites) {
             return resolve_sites(unet.topology(), unet.spec(), sites);
           },
           py::arg("sites"), "Node ids of inheritance sites; ValueError listing the known names for an unknown one.")
      .def("release_workspace", &UNet::release_workspace,
           "Gives the memory that calls leave behind for the next ones back to the system.")
      .def("workspace_bytes", &UNet::workspace_bytes, "Bytes of that memory.")
      .def("forward", &forward, py::arg("x"), py::arg("timesteps"), py::arg("context"), py::arg("y"),
           py::arg("control"), py::arg("weights"), py::arg("hooks"), py::arg("features"),
           py::arg("profile").none(true) = nullptr,
           "One forward call; releases the GIL except inside hooks and callbacks.");
}

}  // namespace asdm::python
