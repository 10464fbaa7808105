// Deciding as a run goes which of its evaluations are full, by what the UNet gets and gives.
#pragma once

#include <memory>

#include <ATen/core/Tensor.h>

#include "native/inheritance/time_step_mode.h"

namespace asdm {

/// Asked once per evaluation of the window, in order.
class Controller {
 public:
  virtual ~Controller() = default;

  /// Whether evaluation `index` of the window inherits. `x` [rows, channels, height, width]: the UNet's input for the
  /// first chunk of the first call; undefined where it is not known, and the evaluation is full then.
  virtual bool inherits(int64_t index, const at::Tensor& x) = 0;

  /// The evaluation was full, and the UNet gave `prediction` for the `x` that inherits() was asked about.
  virtual void computed(const at::Tensor& /*x*/, const at::Tensor& /*prediction*/) {}
};

/// How far the input of the UNet has moved from one evaluation to the next.
class InputChange {
 public:
  /// sum |x - last x| / sum |last x|; negative where there is nothing of that shape to compare with.
  double step(const at::Tensor& x);

 private:
  at::Tensor last_;
};

/// The controller that `settings` ask for in a window of `total` expected evaluations, whose guards are the full ones
/// of `guards`. Null for modes that are placed beforehand.
[[nodiscard]] std::unique_ptr<Controller> make_controller(const TimeStepSettings& settings, TimeStepPattern guards,
                                                          int64_t total);

}  // namespace asdm
