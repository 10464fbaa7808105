#include "nodes/plan_strip.h"

#include <array>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "nodes/pixel_font.h"

namespace asdm::nodes {
namespace {

/// A run of `actions.size()` evaluations with one address.
std::string report(const std::string& actions) {
  return R"({"found":true,"evaluations":)" + std::to_string(actions.size()) +
         R"(,"full":1,"inherited":1,"sigmas":[14.6,0.03],"addresses":[{"address":"out.8","actions":")" + actions +
         R"("}]})";
}

using Pixel = std::array<float, 3>;

std::map<Pixel, int64_t> colours(const Image& image) {
  std::map<Pixel, int64_t> counts;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    ++counts[{image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]}];
  }
  return counts;
}

TEST(PlanStrip, IsOnePictureOfSaneValues) {
  const Image image = plan_strip(report("cicf-h"));
  EXPECT_EQ(image.batch, 1);
  EXPECT_EQ(image.pixels.size(), static_cast<size_t>(image.height * image.width * 3));
  for (const float value : image.pixels) {
    ASSERT_TRUE(value >= 0.0F && value <= 1.0F);
  }
}

TEST(PlanStrip, CellsHaveTheColourOfTheirAction) {
  // Every colour is in the legend; the grid adds as many more pixels as there are cells of it.
  const auto computed = colours(plan_strip(report("cccc")));
  const auto mixed = colours(plan_strip(report("ccif")));
  EXPECT_EQ(computed.size(), 7U) << "paper, ink and five actions";
  EXPECT_EQ(mixed.size(), 7U);
  int64_t lost = 0;
  int64_t gained = 0;
  for (const auto& [colour, count] : mixed) {
    const int64_t change = count - computed.at(colour);
    (change < 0 ? lost : gained) += change;
  }
  EXPECT_LT(lost, 0);
  EXPECT_EQ(lost + gained, 0) << "two cells changed their colour";
}

TEST(PlanStrip, GrowsWithTheRunOnlySoFar) {
  const int64_t few = plan_strip(report(std::string(50, 'c'))).width;
  const int64_t many = plan_strip(report(std::string(480, 'c'))).width;
  EXPECT_LT(many - few, 400);
  EXPECT_EQ(plan_strip(report(std::string(5000, 'c'))).height, plan_strip(report(std::string(50, 'c'))).height);
  EXPECT_LE(plan_strip(report(std::string(5000, 'c'))).width, many + 400);
}

TEST(PlanStrip, WithoutARunThereIsALineOfText) {
  const Image image = plan_strip(R"({"found":false})");
  EXPECT_EQ(colours(image).size(), 2U);
  EXPECT_EQ(colours(plan_strip(report(""))).size(), 2U);
}

TEST(PixelFont, HasEveryLetterThatAddressesAndNumbersNeed) {
  const auto& box = glyph('\x01');
  for (const char c : std::string("abcdefghijklmnopqrstuvwxyz0123456789.,:-_()%/+B ")) {
    EXPECT_NE(glyph(c), box) << c;
    for (const uint8_t row : glyph(c)) {
      EXPECT_LT(row, 1U << kGlyphWidth) << c;
    }
  }
}

}  // namespace
}  // namespace asdm::nodes
