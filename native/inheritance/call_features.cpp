#include "native/inheritance/call_features.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace asdm {

CallFeatures::CallFeatures(CallOrder order)
    : order_(std::move(order)), probe_(order_.cuts, order_.open_cuts, order_.threshold) {}

void CallFeatures::book_inherited(NodeId node) {
  (order_.stored->nodes.at(node).forecasts() ? ledger_.forecast : ledger_.inherited).push_back(node);
}

at::Tensor CallFeatures::inherited(NodeId node) {
  if (!holds(node)) {
    return {};
  }
  book_inherited(node);
  if (const auto made = buffers_.find(node); made != buffers_.end()) {
    return made->second;
  }
  const FeatureSeries& series = order_.stored->nodes.at(node);
  return series.value(order_.now, rows_.value_or(RowRange{0, series.rows()}));
}

std::map<NodeId, at::Tensor> CallFeatures::inherited_values() const {
  std::map<NodeId, at::Tensor> values;
  for (const NodeId site : order_.sites) {
    const FeatureSeries& series = order_.stored->nodes.at(site);
    const RowRange all{0, series.rows()};
    values.emplace(site, series.value(order_.now, site == order_.guidance ? all : guided_rows().value_or(all)));
  }
  return values;
}

Control CallFeatures::inherited_control() const {
  Control control;
  for (const auto& [place, series] : order_.stored->control) {
    std::vector<at::Tensor>& residuals = *control.lists()[place.first];
    residuals.resize(std::max(residuals.size(), place.second + 1));
    residuals[place.second] = series.value(order_.now, {0, series.rows()});
  }
  for (std::vector<at::Tensor>* residuals : control.lists()) {
    std::reverse(residuals->begin(), residuals->end());
  }
  return control;
}

void CallFeatures::keep_control(Control residuals, int64_t rows) {
  ledger_.control.clear();
  for (size_t list = 0; list < residuals.lists().size(); ++list) {
    const std::vector<at::Tensor>& given = *residuals.lists()[list];
    for (size_t i = 0; i < given.size(); ++i) {
      if (given[i].defined()) {
        if (given[i].dim() == 0 || (given[i].size(0) != 1 && given[i].size(0) != rows)) {
          ledger_.control.clear();  // the host leaves it out, and says so: nothing for another batch to take
          order_.wants_control = false;
          return;
        }
        std::vector<int64_t> shape = given[i].sizes().vec();
        shape[0] = rows;
        ledger_.control.emplace(ControlPlace(list, given.size() - 1 - i), given[i].expand(shape));
      }
    }
  }
}

bool CallFeatures::is_held(NodeId node) const {
  return holds(node) && !rows_ && buffers_.empty() && order_.stored->nodes.at(node).holds();
}

std::vector<at::Tensor> CallFeatures::derived(NodeId node) const {
  const auto found = order_.stored->derived.find(node);
  return found == order_.stored->derived.end() ? std::vector<at::Tensor>() : found->second;
}

bool CallFeatures::enter(NodeId node, SpatialSize size) {
  ledger_.entered.insert_or_assign(node, size);
  return !inherits() || entered_as_stored();
}

bool CallFeatures::entered_as_stored() const {
  return std::all_of(ledger_.entered.begin(), ledger_.entered.end(), [&](const auto& entry) {
    const auto known = order_.stored->entered.find(entry.first);
    return known == order_.stored->entered.end() || known->second == entry.second;
  });
}

void CallFeatures::computed(NodeId node, const at::Tensor& value) {
  ledger_.computed.push_back(node);
  if (!wants(node)) {
    return;
  }
  ledger_.kept.insert_or_assign(node, KeptValue(value, order_.storage));
  // A probe is worth comparing with as long as its cut is: both are replaced together.
  if (const at::Tensor* fresh = probe_.fresh(node)) {
    ledger_.kept.insert_or_assign(probe_of(node), KeptValue(*fresh, order_.storage));
  }
}

void CallFeatures::probe(NodeId cut, const at::Tensor& fresh) {
  probe_.take(cut, fresh);
  if (probe_.may_choose(cut) && entered_as_stored() &&
      probe_.choose(cut, order_.stored->nodes.at(probe_of(cut)).newest_value())) {
    order_.sites = {cut};
  }
}

std::optional<RowRange> CallFeatures::guided_rows() const {
  return holds(order_.guidance) ? order_.cond_rows : std::nullopt;
}

void CallFeatures::refuse_guidance(std::string reason) {
  order_.sites.erase(order_.guidance);
  ledger_.refusals.push_back(std::move(reason));
}

at::Tensor CallFeatures::with_guidance(const at::Tensor& cond) {
  rows_.reset();
  ledger_.guided = true;
  return at::cat({cond, cond}, 0) + inherited(order_.guidance);
}

void CallFeatures::keep_guidance(const at::Tensor& prediction) {
  if (order_.cond_rows && wants(order_.guidance)) {
    const at::Tensor cond = prediction.narrow(0, order_.cond_rows->first, order_.cond_rows->count);
    computed(order_.guidance, prediction - at::cat({cond, cond}, 0));
  }
}

CallFeatures CallFeatures::on(std::map<NodeId, at::Tensor> buffers) const {
  CallFeatures call(order_);
  call.order_.storage = Storage::kCompute;  // what is kept takes its form when it is copied out
  call.buffers_ = std::move(buffers);
  return call;
}

void CallFeatures::repeat(const CallFeatures& captured, const std::map<NodeId, at::Tensor>& kept) {
  order_.sites = captured.order_.sites;
  const CallLedger& done = captured.ledger_;
  ledger_.entered = done.entered;
  ledger_.guided = done.guided;
  ledger_.computed = done.computed;
  ledger_.refusals = done.refusals;
  ledger_.inherited.clear();
  ledger_.forecast.clear();
  for (const std::vector<NodeId>* nodes : {&done.inherited, &done.forecast}) {
    for (const NodeId node : *nodes) {
      book_inherited(node);
    }
  }
  ledger_.kept.clear();
  for (const auto& [node, value] : kept) {
    ledger_.kept.emplace(node, KeptValue(value, order_.storage));
  }
}

std::string CallFeatures::kind() const {
  std::ostringstream text;
  for (const std::set<NodeId>* nodes : {&order_.sites, &order_.wanted, &order_.whole_outputs}) {
    for (const NodeId node : *nodes) {
      text << node << ' ';
    }
    text << "; ";
  }
  if (order_.cond_rows && (holds(order_.guidance) || wants(order_.guidance))) {
    text << "cond in rows from " << order_.cond_rows->first;
  }
  return text.str();
}

void CallFeatures::drop_values() {
  order_.stored.reset();
  buffers_.clear();
  ledger_.kept.clear();
  ledger_.derived.clear();
  ledger_.control.clear();
}

void CallFeatures::abandon_inheritance(std::string reason) {
  order_.sites.clear();
  probe_.close();
  rows_.reset();
  ledger_.restart(std::move(reason));
}

}  // namespace asdm
