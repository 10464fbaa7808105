#include "nodes/calibration_plot.h"

#include <algorithm>
#include <string>

#include "nodes/plot_frame.h"

namespace asdm::nodes {
namespace {

constexpr Colour kTried{0.55F, 0.65F, 0.80F};
constexpr Colour kChosen{0.80F, 0.25F, 0.15F};
constexpr Colour kTarget{0.70F, 0.72F, 0.75F};
constexpr int64_t kMark = 8;        // pixels
constexpr int64_t kChosenMark = 14;
constexpr double kRoom = 0.05;      // of an axis, beyond the outermost marks

/// Values from `low` to `high`, as parts of an axis.
struct Axis {
  double low;
  double high;

  /// Of what lies between the least and the greatest of both, with some room.
  static Axis around(double least, double greatest) {
    const double room = std::max(kRoom * (greatest - least), 1e-3 * std::max(1.0, greatest));
    return {least - room, greatest + room};
  }
  [[nodiscard]] double part(double value) const { return (value - low) / (high - low); }
  [[nodiscard]] double value(double part) const { return low + part * (high - low); }
};

void draw_mark(Canvas& canvas, int64_t x, int64_t y, int64_t size, const Colour& colour) {
  canvas.fill(x - size / 2, y - size / 2, size, size, colour);
}

}  // namespace

Image calibration_plot(const CalibratedPlan& calibrated, double target_speedup) {
  const auto& tried = calibrated.tried;
  const auto [slow, fast] = std::minmax_element(
      tried.begin(), tried.end(), [](const auto& one, const auto& other) { return one.speedup < other.speedup; });
  const auto [far, close] = std::minmax_element(
      tried.begin(), tried.end(), [](const auto& one, const auto& other) { return one.psnr < other.psnr; });
  const Axis speed = Axis::around(std::min(slow->speedup, target_speedup), std::max(fast->speedup, target_speedup));
  const Axis psnr = Axis::around(far->psnr, close->psnr);
  const TriedPlan& chosen = tried.at(calibrated.chosen);
  const std::string among = calibrated.reached ? "of " : "no " + number_text(target_speedup) + "x among ";
  Canvas canvas = plot_canvas("dB over speed-up: " + number_text(chosen.psnr) + " dB at " +
                              number_text(chosen.speedup) + "x, " + among + std::to_string(tried.size()) + " plans");
  for (int64_t level = 0; level <= kPlotLevels; ++level) {
    const double part = static_cast<double>(level) / kPlotLevels;
    draw_level(canvas, part, number_text(psnr.value(part)));
    draw_below(canvas, part, number_text(speed.value(part)));
  }
  canvas.fill(plot_x(speed.part(target_speedup)), plot_y(1.0), 2, plot_y(0.0) - plot_y(1.0), kTarget);
  for (const TriedPlan& plan : tried) {
    draw_mark(canvas, plot_x(speed.part(plan.speedup)), plot_y(psnr.part(plan.psnr)), kMark, kTried);
  }
  draw_mark(canvas, plot_x(speed.part(chosen.speedup)), plot_y(psnr.part(chosen.psnr)), kChosenMark, kChosen);
  return canvas.take();
}

}  // namespace asdm::nodes
