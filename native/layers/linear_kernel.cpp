#include "native/layers/linear_kernel.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>

#include <optional>

#include "native/layers/cpu_kernels.h"
#include "native/layers/product.h"

namespace asdm {
namespace {

using PointwiseLinear = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                   c10::string_view, c10::List<std::optional<at::Scalar>>,
                                   std::optional<c10::string_view>);

/// The registered kernel, or nothing where this torch was built without oneDNN.
const std::optional<c10::TypedOperatorHandle<PointwiseLinear>>& pointwise_linear() {
  static const auto handle = []() -> std::optional<c10::TypedOperatorHandle<PointwiseLinear>> {
    const auto schema = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!schema.has_value()) {
      return std::nullopt;
    }
    return schema->typed<PointwiseLinear>();
  }();
  return handle;
}

bool needs_gradient(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return records_gradient(x) || records_gradient(weight) || records_gradient(bias);
}

at::Tensor by_torch(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<at::Tensor> optional_bias = bias.defined() ? std::optional(bias) : std::nullopt;
  const bool onednn = x.device().is_cpu() && x.scalar_type() == at::kFloat && !needs_gradient(x, weight, bias) &&
                      pointwise_linear().has_value();
  if (!onednn) {
    return at::linear(x, weight, optional_bias);
  }
  // The kernel reads memory, not strides: also of the bias.
  const std::optional<at::Tensor> packed_bias = bias.defined() ? std::optional(bias.contiguous()) : std::nullopt;
  return pointwise_linear()->call(x.contiguous(), weight.contiguous(), packed_bias, "none",
                                  c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                  Workspace& workspace) {
  if (at::Tensor out = cpu_linear(x, weight, bias, residual, workspace); out.defined()) {
    return out;
  }
  const at::Tensor out = by_torch(x, weight, bias);
  return residual.defined() ? residual + out : out;
}

at::Tensor geglu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Workspace& workspace) {
  if (at::Tensor out = cpu_geglu(x, weight, bias, workspace); out.defined()) {
    return out;
  }
  const at::Tensor projected = by_torch(x, weight, bias);
  const int64_t hidden = projected.size(-1) / 2;
  const at::Tensor gate = at::gelu(projected.narrow(-1, hidden, hidden));
  return gate * projected.narrow(-1, 0, hidden);
}

}  // namespace asdm
