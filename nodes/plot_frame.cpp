#include "nodes/plot_frame.h"

#include <algorithm>
#include <cstdio>

namespace asdm::nodes {
namespace {

constexpr Colour kGrid{0.90F, 0.91F, 0.93F};
constexpr int64_t kLeft = 120;
constexpr int64_t kTop = 40;
constexpr int64_t kWidth = 640;
constexpr int64_t kHeight = 320;
constexpr int64_t kMargin = 12;

}  // namespace

Canvas plot_canvas(const std::string& title) {
  Canvas canvas(kLeft + kWidth + kMargin, kTop + kHeight + 3 * kTextHeight);
  canvas.text(kMargin, kMargin, title);
  return canvas;
}

int64_t plot_x(double part) { return kLeft + static_cast<int64_t>(part * kWidth); }

int64_t plot_y(double part) { return kTop + static_cast<int64_t>((1.0 - part) * kHeight); }

void draw_level(Canvas& canvas, double part, const std::string& label) {
  const int64_t y = plot_y(part);
  canvas.fill(kLeft, y, kWidth, 1, kGrid);
  canvas.text(kLeft - kMargin - text_width(label), y - kTextHeight / 2, label);
}

void draw_below(Canvas& canvas, double part, const std::string& label) {
  const int64_t width = text_width(label);
  canvas.text(std::clamp(plot_x(part) - width / 2, kLeft, std::max(kLeft, kLeft + kWidth - width)),
              kTop + kHeight + kTextHeight, label);
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

}  // namespace asdm::nodes
