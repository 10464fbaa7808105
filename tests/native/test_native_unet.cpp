#include <gtest/gtest.h>

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

TEST(NativeUNet, InstallsTheEngineInTheAskedPrecision) {
  for (const char* const dtype : {"auto", "fp32", "bf16", "fp16"}) {
    RecordingHost host;
    const Result result =
        find_node("ASDMNativeUNet").execute(host, {{"model", named("model")}, {"compute_dtype", dtype}});
    EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "model+native");
    EXPECT_EQ(host.compute_dtype, dtype);
  }
}

TEST(NativeUNet, RefusesOtherModels) {
  RecordingHost host;
  host.description = {"Flux", std::nullopt, "a transformer, no UNet"};
  const std::string message =
      error_of([&] { return find_node("ASDMNativeUNet").execute(host, {{"model", named("model")}}); });
  expect_contains(message,
                  "ASDMNativeUNet.model: expected the UNet of SD1.x, SD2.x, SDXL, SDXL refiner, "
                  "got Flux: a transformer, no UNet");
}

TEST(NativeUNet, NeedsAModel) {
  RecordingHost host;
  expect_contains(error_of([&] { return find_node("ASDMNativeUNet").execute(host, {}); }),
                  "ASDMNativeUNet.model: expected MODEL, got nothing");
}

}  // namespace
}  // namespace asdm::nodes
