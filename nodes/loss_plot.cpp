#include "nodes/loss_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "nodes/canvas.h"

namespace asdm::nodes {
namespace {

constexpr Colour kThin{0.78F, 0.83F, 0.90F};
constexpr Colour kThick{0.11F, 0.27F, 0.53F};
constexpr Colour kGrid{0.90F, 0.91F, 0.93F};
constexpr int64_t kLeft = 120;
constexpr int64_t kTop = 40;
constexpr int64_t kWidth = 640;
constexpr int64_t kHeight = 320;
constexpr int64_t kMargin = 12;
constexpr int64_t kLines = 4;  // of the grid
constexpr double kSmallest = 1e-12;

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

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
    return kLeft + static_cast<int64_t>(static_cast<double>(step) / std::max<double>(1.0, static_cast<double>(steps) - 1) *
                                        kWidth);
  }
  [[nodiscard]] int64_t y(double loss) const {
    const double part = (std::log(std::max(loss, kSmallest)) - lowest) / (highest - lowest);
    return kTop + static_cast<int64_t>((1.0 - part) * kHeight);
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
  Canvas canvas(kLeft + kWidth + kMargin, kTop + kHeight + 3 * kTextHeight);
  std::vector<double> finite;
  std::copy_if(losses.begin(), losses.end(), std::back_inserter(finite), [](double loss) { return std::isfinite(loss); });
  if (finite.empty()) {
    canvas.text(kMargin, kMargin, "no step was trained");
    return canvas.take();
  }
  canvas.text(kMargin, kMargin, "loss over " + std::to_string(losses.size()) + " steps: " + number_text(finite.front()) +
                                    " to " + number_text(smoothed(finite).back()));
  const Axes axes = axes_of(finite);
  for (int64_t line = 0; line <= kLines; ++line) {
    const double level = axes.lowest + (axes.highest - axes.lowest) * static_cast<double>(line) / kLines;
    const int64_t y = axes.y(std::exp(level));
    canvas.fill(kLeft, y, kWidth, 1, kGrid);
    const std::string text = number_text(std::exp(level));
    canvas.text(kLeft - kMargin - text_width(text), y - kTextHeight / 2, text);
  }
  draw_curve(canvas, axes, finite, kThin);
  draw_curve(canvas, axes, smoothed(finite), kThick);
  const std::string last = std::to_string(losses.size());
  canvas.text(kLeft, kTop + kHeight + kTextHeight, "1");
  canvas.text(kLeft + kWidth - text_width(last), kTop + kHeight + kTextHeight, last);
  return canvas.take();
}

}  // namespace asdm::nodes
