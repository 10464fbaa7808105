// A picture to draw on: filled boxes and text.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "nodes/host.h"
#include "nodes/pixel_font.h"

namespace asdm::nodes {

/// Red, green and blue, 0..1.
struct Colour {
  float red;
  float green;
  float blue;
};

inline constexpr Colour kPaper{1.0F, 1.0F, 1.0F};
inline constexpr Colour kInk{0.13F, 0.15F, 0.19F};

// Sizes of the text, in pixels.
inline constexpr int64_t kFontScale = 2;
inline constexpr int64_t kAdvance = (kGlyphWidth + 1) * kFontScale;
inline constexpr int64_t kTextHeight = kGlyphHeight * kFontScale;

/// Pixels that `text` is wide.
[[nodiscard]] int64_t text_width(const std::string& text);

/// Blank paper at first. Coordinates in pixels from the top left; what lies outside is cut off.
class Canvas {
 public:
  Canvas(int64_t width, int64_t height);
  void fill(int64_t left, int64_t top, int64_t width, int64_t height, const Colour& colour);
  void text(int64_t left, int64_t top, const std::string& words);
  [[nodiscard]] Image take() { return std::move(image_); }

 private:
  Image image_;
};

}  // namespace asdm::nodes
