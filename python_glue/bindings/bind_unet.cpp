// Bindings of native/unet: structure, addresses, cost and forward.
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "native/planning/cost.h"
#include "native/planning/feature_memory.h"
#include "native/planning/liveness.h"
#include "native/unet/profile.h"
#include "native/unet/unet.h"
#include "python_glue/bindings/bind_hooks.h"
#include "python_glue/bindings/bind_host_modules.h"
#include "python_glue/bindings/bind_weights.h"
#include "python_glue/bindings/control_values.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

at::Tensor forward(const UNet& unet, const at::Tensor& x, const at::Tensor& timesteps, const at::Tensor& context,
                   const OptionalTensor& y, const ControlLists& control, WeightSource& weights, const py::object& hooks,
                   CallFeatures& features, Profile* profile, ProjectionCache* projections, bool reuses_sums,
                   HostModules* host) {
  const ForwardInputs inputs{.x = x,
                             .timesteps = timesteps,
                             .context = context,
                             .y = y.value_or(at::Tensor()),
                             .control = control_of(control)};
  PyHooks py_hooks(hooks);
  const py::gil_scoped_release release;
  return unet.forward(inputs, weights, py_hooks, features,
                      {.observer = profile, .projections = projections, .reuses_sums = reuses_sums, .host = host});
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

const char* kind_name(LayerKind kind) {
  switch (kind) {
    case LayerKind::kConv:
      return "conv";
    case LayerKind::kRes:
      return "res";
    case LayerKind::kTransformer:
      return "transformer";
    case LayerKind::kDown:
      return "down";
    case LayerKind::kUp:
      return "up";
  }
  return "";
}

py::list layers_of(const BlockTopology& block, const Topology& topology) {
  py::list layers;
  for (const LayerTopology& layer : block.layers) {
    py::dict entry;
    entry["key"] = layer.key;
    entry["transformer_index"] = layer.transformer_index;
    entry["transformer_blocks"] = layer.transformer.block_numbers;
    entry["address"] = layer.address;
    entry["heads"] = layer.transformer.heads;
    entry["has_skip"] = layer.kind == LayerKind::kRes && layer.in_channels != layer.out_channels;
    py::list units;
    for (NodeId unit = layer.first_unit; unit < layer.first_unit + layer.units; ++unit) {
      units.append(topology.node(unit).address);
    }
    entry["units"] = std::move(units);
    entry["kind"] = kind_name(layer.kind);
    layers.append(std::move(entry));
  }
  return layers;
}

py::list block_list(const UNet& unet) {
  py::list blocks;
  for (const BlockTopology& block : unet.topology().blocks) {
    py::dict entry;
    entry["kind"] = std::string(to_string(block.kind));
    entry["number"] = block.number;
    entry["skip"] = block.skip < 0 ? -1 : unet.topology().block(block.skip).number;
    entry["layers"] = layers_of(block, unet.topology());
    blocks.append(std::move(entry));
  }
  return blocks;
}

py::list profile_entries(const Profile& profile) {
  py::list entries;
  for (const Profile::Entry& entry : profile.entries()) {
    entries.append(py::make_tuple(entry.address, entry.calls, entry.seconds));
  }
  return entries;
}

std::set<NodeId> live_blocks(const UNet& unet, const std::set<NodeId>& sites) {
  const NodesOfCall nodes = live_nodes(unet.topology(), sites, {});
  std::set<NodeId> blocks;
  for (const std::vector<NodeId>* met : {&nodes.computed, &nodes.inherited}) {
    std::copy_if(met->begin(), met->end(), std::inserter(blocks, blocks.end()),
                 [&](NodeId node) { return node < unet.topology().whole(); });
  }
  return blocks;
}

/// What a finished call computed, as (done, full) for one sample of the batch.
std::pair<int64_t, int64_t> call_macs(const UNet& unet, const CallFeatures& call, int64_t height, int64_t width,
                                      int64_t tokens) {
  const CallSize size{height, width, tokens};
  NodesOfCall nodes{.computed = call.ledger().computed, .inherited = call.ledger().inherited, .whole_outputs = {}};
  nodes.inherited.insert(nodes.inherited.end(), call.ledger().forecast.begin(), call.ledger().forecast.end());
  std::copy_if(nodes.inherited.begin(), nodes.inherited.end(), std::back_inserter(nodes.whole_outputs),
               [&](NodeId node) { return call.whole_outputs().contains(node); });
  const int64_t done = live_macs(unet.topology(), nodes, size);
  return {call.ledger().guided ? done / 2 : done, full_macs(unet.topology(), size)};
}

void bind_memory(py::class_<UNet>& unet) {
  unet.def(
      "kept_bytes",
      [](const UNet& self, const InheritanceSettings& settings, int64_t rows, int64_t height, int64_t width,
         int64_t element_size, bool with_sums) {
        return feature_bytes(settings, self.topology(), rows, height, width, element_size) +
               (with_sums ? held_sum_bytes(settings, self.topology(), rows, height, width, element_size) : 0);
      },
      py::arg("settings"), py::arg("rows"), py::arg("height"), py::arg("width"), py::arg("element_size"),
      py::arg("with_sums"),
      "Bytes that the stored features of a call of this size take; with sums of held features, that it takes at most.");
  unet.def(
      "projection_bytes",
      [](const UNet& self, int64_t rows, int64_t tokens, int64_t element_size) {
        return projection_bytes(self.topology(), rows, tokens, element_size);
      },
      py::arg("rows"), py::arg("tokens"), py::arg("element_size"),
      "Bytes that a ProjectionCache takes at most in calls of this size.");
}

}  // namespace

void init_unet(py::module_& m) {
  bind_weights(m);
  bind_host_modules(m);
  py::class_<Profile>(m, "Profile", "Where the time of forward calls goes, by address.")
      .def(py::init([](const std::string& device) { return Profile(c10::Device(device)); }), py::arg("device"))
      .def_property_readonly("entries", &profile_entries,
                             "[(address, calls, seconds)]; the seconds of a part include those of the parts in it.");
  py::class_<ProjectionCache>(
      m, "ProjectionCache",
      "Keys and values of the prompts that the calls of a run repeat, while weights stay the same.")
      .def(py::init<>())
      .def("clear", &ProjectionCache::clear)
      .def_property_readonly("bytes", &ProjectionCache::bytes)
      .def_property_readonly("peak_bytes", &ProjectionCache::peak_bytes);
  py::class_<UNet> unet(m, "UNet",
                        "A Stable Diffusion UNet: structure, addresses and native forward. Holds no weights.");
  unet.def(py::init<UNetSpec>(), py::arg("spec"))
      .def("leaves", &leaf_list, "[(checkpoint name, weight shape, has bias)] in the order that weights are given.")
      .def("layers", &layer_list, "[(address, checkpoint prefix)] in evaluation order.")
      .def("parts", &UNet::parts, "Checkpoint prefixes of what HostModules may compute beside leaves.")
      .def("blocks", &block_list,
           "[{kind, number, skip (number of the input block), layers: [{key, address, kind, transformer_index, "
           "transformer_blocks, heads, has_skip, units (their addresses)}]}] "
           "in evaluation order; all in the numbers of the full UNet.")
      .def(
          "node_addresses", [](const UNet& self) { return all_addresses(self.topology()); },
          "Address of each node of the graph (blocks, the whole UNet, layers, units, guidance, control), by node id.")
      .def(
          "node_macs",
          [](const UNet& self, int64_t height, int64_t width, int64_t tokens) {
            return node_macs(self.topology(), {height, width, tokens});
          },
          py::arg("height"), py::arg("width"), py::arg("tokens"),
          "Multiply-accumulates of each node for one sample; a block's include its layers', a layer's its units'.")
      .def(
          "full_macs",
          [](const UNet& self, int64_t height, int64_t width, int64_t tokens) {
            return full_macs(self.topology(), {height, width, tokens});
          },
          py::arg("height"), py::arg("width"), py::arg("tokens"),
          "Multiply-accumulates of a call in which nothing is inherited, for one sample.")
      .def("live_blocks", &live_blocks, py::arg("sites"),
           "Blocks that a call computes or inherits where `sites` are inherited.")
      .def("call_macs", &call_macs, py::arg("call"), py::arg("height"), py::arg("width"), py::arg("tokens"),
           "(done, full): multiply-accumulates for one sample of what a finished call computed, and of a full one.")
      .def("release_workspace", &UNet::release_workspace,
           "Gives the memory that calls leave behind for the next ones back to the system.")
      .def("workspace_bytes", &UNet::workspace_bytes, "Bytes of that memory.")
      .def("forward", &forward, py::arg("x"), py::arg("timesteps"), py::arg("context"), py::arg("y"),
           py::arg("control"), py::arg("weights"), py::arg("hooks"), py::arg("features"),
           py::arg("profile").none(true) = nullptr, py::arg("projections").none(true) = nullptr,
           py::arg("reuses_sums") = false, py::arg("host").none(true) = nullptr,
           "One forward call; releases the GIL except inside hooks and callbacks.");
  bind_memory(unet);
}

}  // namespace asdm::python
