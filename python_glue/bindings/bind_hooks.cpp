#include "python_glue/bindings/bind_hooks.h"

#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace asdm::python {
namespace {

std::string name_of(AttentionUnit unit) { return unit == AttentionUnit::kAttn1 ? "attn1" : "attn2"; }

at::Tensor tensor_or_none(const py::object& result) {
  return result.cast<std::optional<at::Tensor>>().value_or(at::Tensor());
}

}  // namespace

PyHooks::PyHooks(py::object hooks)
    : hooks_(std::move(hooks)),
      follows_blocks_(hooks_.attr("follows_blocks").cast<bool>()),
      embedding_(hooks_.attr("hooks_embedding").cast<bool>()),
      input_blocks_(hooks_.attr("hooks_input_blocks").cast<bool>()),
      output_blocks_(hooks_.attr("hooks_output_blocks").cast<bool>()),
      middle_block_(hooks_.attr("hooks_middle_block").cast<bool>()),
      transformers_(hooks_.attr("hooks_transformers").cast<bool>()),
      attention_(hooks_.attr("overrides_attention").cast<bool>()) {}

void PyHooks::poll() {
  const py::gil_scoped_acquire gil;
  hooks_.attr("poll")();
}

void PyHooks::enter_block(BlockKind kind, int64_t number) {
  const py::gil_scoped_acquire gil;
  hooks_.attr("enter_block")(std::string(to_string(kind)), number);
}

at::Tensor PyHooks::embedding(at::Tensor emb) {
  if (!embedding_) {
    return emb;
  }
  const py::gil_scoped_acquire gil;
  return hooks_.attr("embedding")(emb).cast<at::Tensor>();
}

at::Tensor PyHooks::input_block(at::Tensor h) {
  const py::gil_scoped_acquire gil;
  return hooks_.attr("input_block")(h).cast<at::Tensor>();
}

at::Tensor PyHooks::input_block_after_skip(at::Tensor h) {
  const py::gil_scoped_acquire gil;
  return hooks_.attr("input_block_after_skip")(h).cast<at::Tensor>();
}

at::Tensor PyHooks::middle_block(at::Tensor h, const at::Tensor& emb) {
  const py::gil_scoped_acquire gil;
  return hooks_.attr("middle_block")(h, emb).cast<at::Tensor>();
}

std::pair<at::Tensor, at::Tensor> PyHooks::output_block(at::Tensor h, at::Tensor skip) {
  const py::gil_scoped_acquire gil;
  const auto [trunk, side] =
      hooks_.attr("output_block")(h, skip).cast<std::pair<at::Tensor, std::optional<at::Tensor>>>();
  return {trunk, side.value_or(at::Tensor())};
}

void PyHooks::enter_transformer(int64_t transformer_index, at::IntArrayRef shape) {
  const py::gil_scoped_acquire gil;
  hooks_.attr("enter_transformer")(transformer_index, std::vector<int64_t>(shape.begin(), shape.end()));
}

void PyHooks::enter_transformer_block(const TransformerSite& site) {
  const py::gil_scoped_acquire gil;
  hooks_.attr("enter_transformer_block")(site.block_index, site.heads, site.dim_head);
}

void PyHooks::attention_inputs(AttentionUnit unit, at::Tensor& query, at::Tensor& context, at::Tensor& value) {
  const py::gil_scoped_acquire gil;
  std::tie(query, context, value) = hooks_.attr("attention_inputs")(name_of(unit), query, context, value)
                                        .cast<std::tuple<at::Tensor, at::Tensor, at::Tensor>>();
}

at::Tensor PyHooks::replace_attention(AttentionUnit unit, const at::Tensor& q, const at::Tensor& k,
                                      const at::Tensor& v) {
  const py::gil_scoped_acquire gil;
  return tensor_or_none(hooks_.attr("replace_attention")(name_of(unit), q, k, v));
}

at::Tensor PyHooks::override_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  const py::gil_scoped_acquire gil;
  return hooks_.attr("override_attention")(q, k, v, heads).cast<at::Tensor>();
}

at::Tensor PyHooks::attention_output(AttentionUnit unit, at::Tensor output) {
  const py::gil_scoped_acquire gil;
  return hooks_.attr("attention_output")(name_of(unit), output).cast<at::Tensor>();
}

at::Tensor PyHooks::between_attentions(at::Tensor x) {
  const py::gil_scoped_acquire gil;
  return hooks_.attr("between_attentions")(x).cast<at::Tensor>();
}

}  // namespace asdm::python
