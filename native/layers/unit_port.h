// Parts of a layer that a call may be given instead of computing them: the units of feature inheritance.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <utility>

namespace asdm {

/// Ordinals of units inside a layer. A SpatialTransformer numbers its transformer blocks' units on: block i begins at
/// i * kTransformerUnits.
enum TransformerUnit : int64_t { kAttn1Unit = 0, kAttn2Unit = 1, kFeedForwardUnit = 2, kTransformerUnits = 3 };
enum ResUnit : int64_t { kConvUnit = 0, kResUnits = 1 };

/// Asked by a layer for each of its units, by ordinal, in evaluation order.
class UnitPort {
 public:
  virtual ~UnitPort() = default;

  /// The value of shape `sizes` that stands in for `unit`; undefined = it must be computed.
  virtual at::Tensor given(int64_t unit, at::IntArrayRef sizes) = 0;
  /// True where computed() wants the value of `unit`, so that it cannot be fused into what follows.
  [[nodiscard]] virtual bool wants(int64_t unit) const = 0;
  /// `unit` was computed. `value` is undefined where nobody wants it.
  virtual void computed(int64_t unit, const at::Tensor& value) = 0;
};

/// x + unit, where `compute(residual)` gives residual + unit, fused, or the unit alone for an undefined residual.
template <class Compute>
at::Tensor add_unit(UnitPort* port, int64_t unit, const at::Tensor& x, Compute&& compute) {
  if (port == nullptr) {
    return compute(x);
  }
  if (const at::Tensor given = port->given(unit, x.sizes()); given.defined()) {
    return x + given;
  }
  if (!port->wants(unit)) {
    at::Tensor sum = compute(x);
    port->computed(unit, {});
    return sum;
  }
  const at::Tensor value = compute(at::Tensor());
  port->computed(unit, value);
  return x + value;
}

}  // namespace asdm
