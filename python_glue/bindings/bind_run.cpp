// Bindings of native/inheritance: the state of one sampling run.
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/run.h"
#include "native/planning/sites.h"
#include "native/unet/unet.h"
#include "python_glue/bindings/control_values.h"
#include "python_glue/bindings/module.h"

namespace py = pybind11;

namespace asdm::python {
namespace {

/// A run that speaks in addresses.
class NamedRun {
 public:
  NamedRun(const std::optional<InheritanceSettings>& settings, const std::vector<double>& sigmas, const UNet& unet)
      : topology_(unet.topology()),
        whole_outputs_(settings ? settings->whole_outputs : std::set<NodeId>()),
        sites_(settings ? sites_of(*settings) : std::set<NodeId>()),
        run_(settings, sigmas, {topology_.whole(), static_cast<int64_t>(topology_.nodes.size())}) {}

  Run& run() { return run_; }
  [[nodiscard]] std::vector<std::string> texts(const std::vector<NodeId>& sites) const {
    return site_texts(topology_, sites, whole_outputs_);
  }
  [[nodiscard]] std::vector<std::string> sites() const { return texts({sites_.begin(), sites_.end()}); }
  void leave_out(const std::vector<std::string>& addresses) {
    std::set<NodeId> nodes;
    for (NodeId node = 0; node < static_cast<NodeId>(topology_.nodes.size()); ++node) {
      if (std::find(addresses.begin(), addresses.end(), topology_.node(node).address) != addresses.end()) {
        nodes.insert(node);
      }
    }
    run_.leave_out(std::move(nodes));
  }
  [[nodiscard]] py::dict record() const;
  [[nodiscard]] std::vector<std::vector<std::string>> plan() const {
    std::vector<std::vector<std::string>> evaluations;
    for (const std::vector<NodeId>& sites : run_.plan()) {
      evaluations.push_back(texts(sites));
    }
    return evaluations;
  }

 private:
  [[nodiscard]] py::list log() const;

  Topology topology_;
  std::set<NodeId> whole_outputs_;
  std::set<NodeId> sites_;
  Run run_;
};

/// A method of the Run inside.
template <class Result, class... Args>
auto of_run(Result (Run::*method)(Args...)) {
  return [method](NamedRun& named, Args... args) { return (named.run().*method)(std::forward<Args>(args)...); };
}
template <class Result>
auto of_run(Result (Run::*method)() const) {
  return [method](NamedRun& named) { return (named.run().*method)(); };
}

py::list NamedRun::log() const {
  py::list entries;
  for (const EvaluationRecord& entry : run_.record().log) {
    py::dict actions;
    for (const auto& [node, action] : entry.actions) {
      actions[py::str(topology_.node(node).address)] = std::string(1, static_cast<char>(action));
    }
    py::dict out;
    out["sigma"] = entry.sigma;
    out["sites"] = texts(entry.sites);
    out["actions"] = std::move(actions);
    entries.append(std::move(out));
  }
  return entries;
}

py::dict NamedRun::record() const {
  const RunRecord& record = run_.record();
  py::dict out;
  out["evaluations"] = record.evaluations;
  out["full"] = record.full;
  out["inherited"] = record.inherited;
  out["forced_refreshes"] = record.forced_refreshes;
  out["computed_nodes"] = record.computed_nodes;
  out["inherited_nodes"] = record.inherited_nodes;
  out["forecast_nodes"] = record.forecast_nodes;
  out["calls"] = record.calls;
  out["peak_cache_bytes"] = record.peak_cache_bytes;
  out["log"] = log();
  return out;
}

void bind_call_features(py::module_& m) {
  py::class_<CallFeatures>(m, "CallFeatures", "Features that one call inherits, and those that it computed.")
      .def(py::init<>())
      .def_property_readonly("inherits", &CallFeatures::inherits)
      .def_property_readonly(
          "is_guided", [](const CallFeatures& call) { return call.ledger().guided; },
          "Whether uncond was made from cond and the guidance: half of the batch ran.")
      .def_property_readonly("inherits_control", &CallFeatures::inherits_control,
                             "Whether the last residuals of ControlNets stand in.")
      .def(
          "inherited_control", [](const CallFeatures& call) { return to_lists(call.inherited_control()); },
          "Those residuals, to be read only; lists without any are left out.")
      .def_property_readonly("wants_control", &CallFeatures::wants_control, "Whether those that are made are kept.")
      .def(
          "keep_control",
          [](CallFeatures& call, const ControlLists& control, int64_t rows) {
            call.keep_control(control_of(control), rows);
          },
          py::arg("control"), py::arg("rows"), "ControlNets gave these for a batch of `rows`, or a row for all.")
      .def("holds", &CallFeatures::holds, py::arg("node"), "Whether something stands in for the node of this id.")
      .def_property_readonly("searches", &CallFeatures::searches,
                             "Whether it depends on the values of this call which part of the UNet runs.")
      .def_property_readonly("inherited_values", &CallFeatures::inherited_values, "{node: value that stands in}")
      .def_property_readonly(
          "kept_values", [](const CallFeatures& call) { return call.ledger().kept_values(); },
          "{node: value for the whole batch}")
      .def_property_readonly("sites", &CallFeatures::sites, "Nodes whose stored values stand in.")
      .def("inherited", &CallFeatures::inherited, py::arg("node"), "What stands in for `node`, to be read only.")
      .def("wants", &CallFeatures::wants, py::arg("node"), "Whether computed() keeps the value of `node`.")
      .def(
          "computed",
          [](CallFeatures& call, NodeId node, const std::optional<at::Tensor>& value) {
            call.computed(node, value.value_or(at::Tensor()));
          },
          py::arg("node"), py::arg("value").none(true))
      .def(
          "enter",
          [](CallFeatures& call, NodeId node, int64_t height, int64_t width) {
            return call.enter(node, {height, width});
          },
          py::arg("node"), py::arg("height"), py::arg("width"),
          "An input of this size enters block `node`; False where what is inherited was made at another size.")
      .def("abandon_inheritance", &CallFeatures::abandon_inheritance, py::arg("reason"), "Makes it a full call.")
      .def("on", &CallFeatures::on, py::arg("buffers"),
           "This call, before it runs, on other memory: it inherits `buffers`.")
      .def_property_readonly("kind", &CallFeatures::kind,
                             "What beside the shapes of its tensors decides on the work of this call, before it runs.")
      .def("drop_values", &CallFeatures::drop_values, "Lets go of all values of a call that was captured.")
      .def("repeat", &CallFeatures::repeat, py::arg("captured"), py::arg("kept"),
           "Books that the work of `captured`, a call of this kind, was done again for this one, and left `kept` "
           "behind, of which copies are made.")
      .def_property_readonly("computed_nodes", [](const CallFeatures& call) { return call.ledger().computed; });
}

}  // namespace

void init_run(py::module_& m) {
  bind_call_features(m);
  py::class_<NamedRun>(m, "Run", "State of one sampling run.")
      .def(py::init<const std::optional<InheritanceSettings>&, const std::vector<double>&, const UNet&>(),
           py::arg("settings").none(true), py::arg("sigmas"), py::arg("unet"))
      .def_property_readonly(
          "measures", of_run(&Run::measures),
          "Whether decisions depend on the input of the UNet, so that measure() has anything to say.")
      .def(
          "measure",
          [](NamedRun& named, const at::Tensor& x) {
            const at::Tensor measured = named.run().measure(x);
            return measured.defined() ? std::optional(measured) : std::nullopt;
          },
          py::arg("x"), py::call_guard<py::gil_scoped_release>(),
          "What decides on the evaluation to come, at input `x` of the UNet: a scalar on its device; None = nothing.")
      .def("begin_evaluation", of_run(&Run::begin_evaluation), py::arg("sigma"), py::arg("measured") = py::none(),
           "`measured`: the value of measure() for it.")
      .def_property_readonly("evaluation", of_run(&Run::evaluation), "The one that began last, from 0; -1 = none did.")
      .def("begin_pass", of_run(&Run::begin_pass),
           "A pass over the latent begins: its number in the evaluation, from 0.")
      .def_property_readonly("pass_number", of_run(&Run::pass_number), "Of the pass that began last; -1 = none did.")
      .def("refuse_rest", of_run(&Run::refuse_rest), py::arg("reason"),
           "The calls of this evaluation that are still to come inherit nothing.")
      .def("begin_fresh_calls", of_run(&Run::begin_fresh_calls), py::arg("reason"),
           "Calls begin that no evaluation before has made; the next one computes where those before them inherited.")
      .def(
          "begin_call", of_run(&Run::begin_call), py::arg("keys"), py::arg("roles") = std::vector<int64_t>(),
          py::arg("rows") = 0, py::arg("bytes") = 0,
          "`keys` and `roles` (index of the conditioning: 0 = cond, 1 = uncond), one per chunk of the batch of `rows`, "
          "whose features may take `bytes`.")
      .def(
          "declare", of_run(&Run::declare), py::arg("bytes"),
          "A call comes whose features may take `bytes`: what those of all calls of an evaluation take, as far as they "
          "are known. Once this was asked no more than the largest answer is ever kept.")
      .def(
          "end_call",
          [](NamedRun& named, CallFeatures& call, const std::optional<at::Tensor>& output) {
            named.run().end_call(call, output.value_or(at::Tensor()));
          },
          py::arg("call"), py::arg("output") = py::none(), py::call_guard<py::gil_scoped_release>())
      .def("clear_derived", of_run(&Run::clear_derived),
           "Weights changed: drops what calls made of held features alone.")
      .def("leave_out", &NamedRun::leave_out, py::arg("addresses"),
           "The calls to come neither keep nor inherit these nodes: the host runs what is around them.")
      .def("clear", of_run(&Run::clear), "Drops all features; the record stays.")
      .def_property_readonly("cache_bytes", of_run(&Run::cache_bytes), "Bytes of the features stored now.")
      .def_property_readonly("ever_inherits", of_run(&Run::ever_inherits), "Whether any evaluation may inherit.")
      .def_property_readonly("sites", &NamedRun::sites, "Addresses that some evaluation may inherit.")
      .def_property_readonly(
          "sites_now", [](NamedRun& named) { return named.texts(named.run().sites_now()); },
          "Addresses inherited at this evaluation, as far as that is decided.")
      .def_property_readonly(
          "plan", &NamedRun::plan,
          "For each evaluation so far the addresses that were inherited; a Plan has them as `sites`.")
      .def_property_readonly("record", &NamedRun::record,
                             "Counts by node id exclude each other: a node that a call neither computed nor inherited "
                             "nor forecast was not run.");
}

}  // namespace asdm::python
