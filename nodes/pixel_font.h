// A font of 5 x 7 pixels: the letters that addresses and numbers are made of.
#pragma once

#include <array>
#include <cstdint>

namespace asdm::nodes {

inline constexpr int64_t kGlyphWidth = 5;
inline constexpr int64_t kGlyphHeight = 7;

/// The rows of `c` from top to bottom; bit 4 is the leftmost pixel. Characters the font lacks are a hollow box.
[[nodiscard]] const std::array<uint8_t, kGlyphHeight>& glyph(char c);

}  // namespace asdm::nodes
