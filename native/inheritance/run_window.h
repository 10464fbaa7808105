// The part of a run's schedule in which features are inherited.
#pragma once

#include <vector>

namespace asdm {

/// Given in shares of the schedule, so that it means the same for image-to-image and split runs.
class RunWindow {
 public:
  /// `sigmas`: the run's schedule, falling, its last entry the end of the last step; `start`, `end`: 0..1.
  RunWindow(const std::vector<double>& sigmas, double start, double end);

  [[nodiscard]] bool contains(double sigma) const;
  /// Where `sigma` lies in the window: 0 at its start, 1 at its end, linear between the entries of the schedule.
  [[nodiscard]] double share(double sigma) const;
  /// The sigmas of the schedule in the window: one per evaluation, for samplers that make one in each step.
  [[nodiscard]] const std::vector<double>& sigmas() const noexcept { return inside_; }

 private:
  std::vector<double> schedule_;
  std::vector<double> inside_;
  double start_;
  double end_;
  double high_ = 0.0;  ///< the window's sigmas: low < sigma <= high
  double low_ = 0.0;
};

}  // namespace asdm
