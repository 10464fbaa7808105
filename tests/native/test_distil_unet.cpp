#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "nodes/canvas.h"
#include "nodes/loss_plot.h"
#include "nodes/registry.h"
#include "tests/native/error_of.h"
#include "tests/native/recording_host.h"

namespace asdm::nodes {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::label_of;
using testing::named;
using testing::RecordingHost;

std::map<std::string, Value> linked() {
  return {{"teacher", named("full")}, {"student", named("small")}, {"latents", named("latents")},
          {"positive", named("prompts")}};
}

TEST(DistilUNet, TrainsTheStudentAndShowsItsLoss) {
  RecordingHost host;
  auto values = linked();
  values["steps"] = int64_t{30};
  values["semantic_loss"] = 0.5;
  values["checkpoint"] = std::string("emoji");
  const Result result = find_node("ASDMDistillUNet").execute(host, values);
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "small+distilled+native");
  EXPECT_EQ(host.calls.front(), "distil_unet full latents prompts");
  EXPECT_EQ(host.distil_options.steps, 30);
  EXPECT_EQ(host.distil_options.batch_size, 4);
  EXPECT_DOUBLE_EQ(host.distil_options.task_loss, 1.0);
  EXPECT_DOUBLE_EQ(host.distil_options.semantic_loss, 0.5);
  EXPECT_EQ(host.distil_options.checkpoint, "emoji");
  EXPECT_EQ(std::get<Image>(result.outputs.at(1)).batch, 1);
}

TEST(DistilUNet, RefusesOtherModels) {
  RecordingHost host;
  host.description = {"Flux", "", "a transformer, no UNet"};
  expect_contains(error_of([&] { return find_node("ASDMDistillUNet").execute(host, linked()); }),
                  "ASDMDistillUNet.teacher: expected the UNet of");
}

/// Pixels of the colour that the running mean is drawn in, by column.
std::vector<int64_t> heights(const Image& image, int64_t column) {
  std::vector<int64_t> rows;
  for (int64_t y = 0; y < image.height; ++y) {
    const float* pixel = image.pixels.data() + (y * image.width + column) * 3;
    if (std::abs(pixel[0] - 0.11F) < 0.01F && std::abs(pixel[2] - 0.53F) < 0.01F) {
      rows.push_back(y);
    }
  }
  return rows;
}

TEST(LossPlot, AFallingLossFallsFromLeftToRight) {
  std::vector<double> losses;
  for (int step = 0; step < 100; ++step) {
    losses.push_back(std::exp(-0.05 * step));
  }
  const Image image = loss_plot(losses);
  const auto left = heights(image, 140);
  const auto right = heights(image, 740);
  ASSERT_FALSE(left.empty());
  ASSERT_FALSE(right.empty());
  EXPECT_LT(left.front() + 150, right.front());  // rows count from the top
}

TEST(LossPlot, IsDrawnOfAnyNumbers) {
  for (const std::vector<double>& losses :
       {std::vector<double>{}, {1.0}, {0.0, 0.0}, {1.0, std::numeric_limits<double>::quiet_NaN(), 2.0}}) {
    EXPECT_GT(loss_plot(losses).pixels.size(), 0);
  }
}

}  // namespace
}  // namespace asdm::nodes
