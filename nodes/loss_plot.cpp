#include "nodes/loss_plot.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "nodes/plot_frame.h"

namespace asdm::nodes {
namespace {

constexpr Colour kThin{0.78F, 0.83F, 0.90F};
constexpr Colour kThick{0.11F, 0.27F, 0.53F};
constexpr double kSmallest = 1e-12;

/// Exponential running mean over a twentieth of the steps.
std::vector<double> smoothed(const std::vector<double>& losses) {
  const double share = 1.0 / std::max(1.0, static_cast<double>(losses.size()) / 20.0);
  std::vector<double> means;
  for (const double loss : losses) {
    means.push_back(means.empty() ? loss : means.back() + share * (loss - means.back()));
  }
  return means;
}

/// From losses to pixels.
struct Axes {
  double lowest;
  double highest;
  size_t steps;

  [[nodiscard]] int64_t x(size_t step) const {
    return plot_x(static_cast<double>(step) / std::max<double>(1.0, static_cast<double>(steps) - 1));
  }
  [[nodiscard]] int64_t y(double loss) const {
    return plot_y((std::log(std::max(loss, kSmallest)) - lowest) / (highest - lowest));
  }
};

Axes axes_of(const std::vector<double>& losses) {
  const auto [low, high] = std::minmax_element(losses.begin(), losses.end());
  const double lowest = std::log(std::max(*low, kSmallest));
  const double highest = std::log(std::max(*high, kSmallest));
  return {lowest, highest > lowest ? highest : lowest + 1.0, losses.size()};
}

void draw_curve(Canvas& canvas, const Axes& axes, const std::vector<double>& losses, const Colour& colour) {
  for (size_t step = 0; step < losses.size(); ++step) {
    const int64_t here = axes.y(losses[step]);
    const int64_t before = axes.y(losses[step == 0 ? 0 : step - 1]);
    const int64_t right = axes.x(std::min(step + 1, losses.size() - 1));
    canvas.fill(axes.x(step), std::min(here, before), std::max<int64_t>(2, right - axes.x(step)),
                std::abs(here - before) + 2, colour);
  }
}

}  // namespace

Image loss_plot(const std::vector<double>& losses) {
  std::vector<double> finite;
  std::copy_if(losses.begin(), losses.end(), std::back_inserter(finite), [](double loss) { return std::isfinite(loss); });
  if (finite.empty()) {
    return plot_canvas("no step was trained").take();
  }
  Canvas canvas = plot_canvas("loss over " + std::to_string(losses.size()) + " steps: " + number_text(finite.front()) +
                              " to " + number_text(smoothed(finite).back()));
  const Axes axes = axes_of(finite);
  for (int64_t level = 0; level <= kPlotLevels; ++level) {
    const double part = static_cast<double>(level) / kPlotLevels;
    draw_level(canvas, part, number_text(std::exp(axes.lowest + (axes.highest - axes.lowest) * part)));
  }
  draw_curve(canvas, axes, finite, kThin);
  draw_curve(canvas, axes, smoothed(finite), kThick);
  draw_below(canvas, 0.0, "1");
  draw_below(canvas, 1.0, std::to_string(losses.size()));
  return canvas.take();
}

}  // namespace asdm::nodes
