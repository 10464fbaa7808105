// Carries the core's hooks to the Python object that knows the host's (python_glue/host/hooks.py).
#pragma once

#include <pybind11/pybind11.h>

#include "native/unet/hooks.h"

namespace asdm::python {

/// Forwards each hook to the attribute of the same name; takes the GIL for the time of a call. Which hooks exist is
/// read once, so that a forward without any never waits for Python but to poll for an interrupt.
class PyHooks final : public Hooks {
 public:
  /// `hooks`: a HostHooks object; called with the GIL held.
  explicit PyHooks(pybind11::object hooks);

  void poll() override;
  [[nodiscard]] bool follows_blocks() const override { return follows_blocks_; }
  [[nodiscard]] bool hooks_input_blocks() const override { return input_blocks_; }
  [[nodiscard]] bool hooks_output_blocks() const override { return output_blocks_; }
  [[nodiscard]] bool hooks_middle_block() const override { return middle_block_; }
  [[nodiscard]] bool hooks_transformers() const override { return transformers_; }
  [[nodiscard]] bool overrides_attention() const override { return attention_; }

  void enter_block(BlockKind kind, int64_t number) override;
  at::Tensor embedding(at::Tensor emb) override;
  at::Tensor input_block(at::Tensor h) override;
  at::Tensor input_block_after_skip(at::Tensor h) override;
  at::Tensor middle_block(at::Tensor h, const at::Tensor& emb) override;
  std::pair<at::Tensor, at::Tensor> output_block(at::Tensor h, at::Tensor skip) override;

  void enter_transformer(int64_t transformer_index, at::IntArrayRef shape) override;
  void enter_transformer_block(const TransformerSite& site) override;
  void attention_inputs(AttentionUnit unit, at::Tensor& query, at::Tensor& context, at::Tensor& value) override;
  at::Tensor replace_attention(AttentionUnit unit, const at::Tensor& q, const at::Tensor& k,
                               const at::Tensor& v) override;
  at::Tensor override_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) override;
  at::Tensor attention_output(AttentionUnit unit, at::Tensor output) override;
  at::Tensor between_attentions(at::Tensor x) override;

 private:
  pybind11::object hooks_;
  bool follows_blocks_;
  bool embedding_;
  bool input_blocks_;
  bool output_blocks_;
  bool middle_block_;
  bool transformers_;
  bool attention_;
};

}  // namespace asdm::python
