// What pictures of one quantity over another share: size, title, levels and labels.
#pragma once

#include <string>

#include "nodes/canvas.h"

namespace asdm::nodes {

inline constexpr int64_t kPlotLevels = 4;  ///< parts that draw_level() is meant to divide the height into

/// Blank paper with a title, and room for labels around the plot.
[[nodiscard]] Canvas plot_canvas(const std::string& title);
/// Pixels of a point at `part` (0..1) of the width, from the left, and of the height, from the bottom.
[[nodiscard]] int64_t plot_x(double part);
[[nodiscard]] int64_t plot_y(double part);
/// A thin line across the plot at `part` of its height, with its label on the left.
void draw_level(Canvas& canvas, double part, const std::string& label);
/// A label below the plot, centred at `part` of its width but within it.
void draw_below(Canvas& canvas, double part, const std::string& label);
/// Three digits.
[[nodiscard]] std::string number_text(double value);

}  // namespace asdm::nodes
