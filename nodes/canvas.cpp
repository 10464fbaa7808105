#include "nodes/canvas.h"

#include <algorithm>

namespace asdm::nodes {

int64_t text_width(const std::string& text) { return static_cast<int64_t>(text.size()) * kAdvance; }

Canvas::Canvas(int64_t width, int64_t height)
    : image_{1, height, width, std::vector<float>(static_cast<size_t>(height * width * 3), kPaper.red)} {}

void Canvas::fill(int64_t left, int64_t top, int64_t width, int64_t height, const Colour& colour) {
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + height, image_.height); ++y) {
    for (int64_t x = std::max<int64_t>(left, 0); x < std::min(left + width, image_.width); ++x) {
      float* pixel = image_.pixels.data() + (y * image_.width + x) * 3;
      pixel[0] = colour.red;
      pixel[1] = colour.green;
      pixel[2] = colour.blue;
    }
  }
}

void Canvas::text(int64_t left, int64_t top, const std::string& words) {
  for (const char c : words) {
    const auto& rows = glyph(c);
    for (int64_t y = 0; y < kGlyphHeight; ++y) {
      for (int64_t x = 0; x < kGlyphWidth; ++x) {
        if ((rows[static_cast<size_t>(y)] >> (kGlyphWidth - 1 - x) & 1) != 0) {
          fill(left + x * kFontScale, top + y * kFontScale, kFontScale, kFontScale, kInk);
        }
      }
    }
    left += kAdvance;
  }
}

}  // namespace asdm::nodes
