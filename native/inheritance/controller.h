// Deciding as a run goes which of its evaluations are full, by what the UNet gets and gives.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

#include "native/inheritance/time_step_mode.h"

namespace asdm {

/// Decides in two steps, so that what it measures comes from the device together with the evaluation's sigma.
class Controller {
 public:
  virtual ~Controller() = default;

  /// What the decision goes by, a scalar on the device of `x` [rows, channels, height, width], the input of the UNet;
  /// undefined where there is nothing to compare with. For every evaluation of the run, in order.
  [[nodiscard]] virtual at::Tensor measure(const at::Tensor& x) = 0;

  /// Whether evaluation `index` of the window inherits; for each of them, in order. `measured`: the value of measure()
  /// for it, if there is one.
  [[nodiscard]] virtual bool inherits(int64_t index, std::optional<double> measured) = 0;

  /// That evaluation was full, and the UNet gave `prediction` for the `x` measured last.
  virtual void computed(const at::Tensor& /*prediction*/) {}
};

/// How far the input of the UNet has moved from one evaluation to the next.
class InputChange {
 public:
  /// sum |x - last x| / sum |last x|, a scalar; undefined where there is nothing of that shape to compare with.
  at::Tensor step(const at::Tensor& x);

 private:
  at::Tensor last_;
};

/// The controller that `settings` ask for in a window of `total` expected evaluations, whose guards are the full ones
/// of `guards`. Null for modes that are placed beforehand.
[[nodiscard]] std::unique_ptr<Controller> make_controller(const TimeStepSettings& settings, TimeStepPattern guards,
                                                          int64_t total);

}  // namespace asdm
