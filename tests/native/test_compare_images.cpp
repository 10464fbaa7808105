#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "nodes/image_metrics.h"
#include "nodes/registry.h"
#include "tests/native/error_of.h"
#include "tests/native/recording_host.h"

namespace asdm::nodes {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::RecordingHost;

Image flat(int64_t batch, int64_t height, int64_t width, float value) {
  return {batch, height, width, std::vector<float>(static_cast<size_t>(batch * height * width * 3), value)};
}

Result compare(const Image& reference, const Image& image) {
  RecordingHost host;
  return find_node("ASDMCompareImages").execute(host, {{"reference", reference}, {"image", image}});
}

TEST(CompareImages, EqualPictures) {
  const Result result = compare(flat(1, 16, 12, 0.5F), flat(1, 16, 12, 0.5F));
  EXPECT_EQ(std::get<std::string>(result.outputs.at(0)), "PSNR inf dB, SSIM 1.0000");
  EXPECT_EQ(result.ui_text, "PSNR inf dB, SSIM 1.0000");
}

TEST(CompareImages, FlatPicturesHaveClosedForms) {
  // MSE 0.36; without variance SSIM is (2ab + C1) / (a^2 + b^2 + C1) = 0.3201 / 0.6801.
  const Image dark = flat(2, 11, 11, 0.2F);
  const Image light = flat(2, 11, 11, 0.8F);
  EXPECT_NEAR(psnr(dark, light), 4.43697, 1e-4);
  EXPECT_NEAR(ssim(dark, light).value(), 0.3201 / 0.6801, 1e-6);
  EXPECT_EQ(std::get<std::string>(compare(dark, light).outputs.at(0)), "PSNR 4.44 dB, SSIM 0.4707");
}

TEST(CompareImages, TheBatchIsAveraged) {
  // One equal picture and one off by 0.1: MSE 0.005.
  Image reference = flat(2, 12, 12, 0.5F);
  Image image = reference;
  for (size_t i = image.pixels.size() / 2; i < image.pixels.size(); ++i) {
    image.pixels[i] = 0.6F;
  }
  EXPECT_NEAR(psnr(reference, image), -10.0 * std::log10(0.005), 1e-4);
  const double second = (2 * 0.5 * 0.6 + 1e-4) / (0.25 + 0.36 + 1e-4);
  EXPECT_NEAR(ssim(reference, image).value(), (1.0 + second) / 2, 1e-6);
}

TEST(CompareImages, DifferenceIsAmplifiedAndClamped) {
  Image image = flat(1, 11, 11, 0.5F);
  image.pixels[0] = 0.55F;
  image.pixels[1] = 0.0F;
  const Result result = compare(flat(1, 11, 11, 0.5F), image);
  const auto& difference = std::get<Image>(result.outputs.at(1));
  EXPECT_EQ(difference.height, 11);
  EXPECT_NEAR(difference.pixels[0], 0.5F, 1e-5);
  EXPECT_EQ(difference.pixels[1], 1.0F);
  EXPECT_EQ(difference.pixels[2], 0.0F);
}

TEST(CompareImages, SmallPicturesHaveNoSsim) {
  EXPECT_EQ(std::get<std::string>(compare(flat(1, 10, 64, 0.0F), flat(1, 10, 64, 0.1F)).outputs.at(0)),
            "PSNR 20.00 dB, SSIM needs 11 x 11 pixels");
}

TEST(CompareImages, SizesMustMatch) {
  expect_contains(error_of([] { return compare(flat(1, 16, 12, 0), flat(2, 16, 12, 0)); }),
                  "ASDMCompareImages.image: expected a batch of 1 with 12 x 16 pixels, as the reference has, "
                  "got a batch of 2 with 12 x 16 pixels");
  expect_contains(error_of([] { return compare(flat(1, 0, 0, 0), flat(1, 0, 0, 0)); }), "at least one pixel");
}

}  // namespace
}  // namespace asdm::nodes
