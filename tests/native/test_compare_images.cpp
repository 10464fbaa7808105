#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "nodes/registry.h"
#include "tests/native/recording_host.h"

namespace asdm::nodes {
namespace {

using testing::label_of;
using testing::named;
using testing::RecordingHost;

Result compare(RecordingHost& host) {
  return find_node("ASDMCompareImages").execute(host, {{"reference", named("one")}, {"image", named("other")}});
}

TEST(CompareImages, GivesWhatTheHostMeasured) {
  RecordingHost host;
  host.scores = {.psnr = 31.456, .ssim = 0.98765, .difference = named("difference")};
  const Result result = compare(host);
  EXPECT_EQ(std::get<std::string>(result.outputs.at(0)), "PSNR 31.46 dB, SSIM 0.9877");
  EXPECT_EQ(result.ui_text, "PSNR 31.46 dB, SSIM 0.9877");
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(1))), "difference");
  EXPECT_EQ(host.calls, std::vector<std::string>{"compare_images one other 10.000000"});
}

TEST(CompareImages, SaysWhatThereIsNoNumberFor) {
  RecordingHost host;
  host.scores = {.psnr = std::numeric_limits<double>::infinity(), .ssim = {}, .difference = named("difference")};
  EXPECT_EQ(std::get<std::string>(compare(host).outputs.at(0)), "PSNR inf dB, SSIM needs 11 x 11 pixels");
}

}  // namespace
}  // namespace asdm::nodes
