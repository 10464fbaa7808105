// ASDMAssembleUNet and ASDMSaveUNet against a host in memory.
#include <gtest/gtest.h>

#include "native/format/unet_spec.h"
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

using Names = std::vector<std::string>;

Result assemble(RecordingHost& host, const std::string& preset, const std::string& remove) {
  return find_node("ASDMAssembleUNet")
      .execute(host, {{"model", named("model")}, {"preset", preset}, {"remove", remove}});
}

RecordingHost host_of(const UNetSpec& spec) {
  RecordingHost host;
  host.description.spec = spec;
  return host;
}

TEST(AssembleUNet, TakesThePresetAndTheListTogether) {
  struct Row {
    const char* preset;
    const char* remove;
    Names removed;
  };
  for (const Row& row : {Row{"s0", "", {"in.2", "out.10"}},
                         Row{"s0", " out.7.attn,\n\tmid.attn ", {"in.2", "mid.attn", "out.7.attn", "out.10"}},
                         Row{"none", "out.10 in.2", {"in.2", "out.10"}}}) {
    RecordingHost host = host_of(preset_spec("sd15"));
    const Result result = assemble(host, row.preset, row.remove);
    EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "model+assembled+native");
    EXPECT_EQ(host.description.spec->removed, row.removed);
  }
}

TEST(AssembleUNet, TakesMoreFromOneThatLacksSomethingAlready) {
  UNetSpec spec = preset_spec("sd15");
  spec.removed = {"in.2", "out.10"};
  RecordingHost host = host_of(spec);
  (void)assemble(host, "s0_s1", "");
  EXPECT_EQ(host.description.spec->removed, (Names{"in.2", "in.5", "out.7", "out.10"}));
  host = host_of(spec);
  expect_contains(error_of([&] { return assemble(host, "s0", ""); }),
                  "ASDMAssembleUNet.remove: expected parts that the UNet still has, got none of them");
}

TEST(AssembleUNet, CalibratesWhereConditioningIsConnected) {
  RecordingHost host = host_of(preset_spec("sd15"));
  const Result result =
      find_node("ASDMAssembleUNet")
          .execute(host, {{"model", named("model")}, {"preset", std::string("s0")}, {"calibrate", named("prompt")}});
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "model+assembled+calibrated+native");
  EXPECT_EQ(host.calls.front(), "calibrate_unet model prompt no latent");
}

TEST(AssembleUNet, RefusesWhatLeavesNoUNet) {
  RecordingHost host = host_of(preset_spec("sd15"));
  expect_contains(error_of([&] { return assemble(host, "none", "in.8"); }), "out.3 lost its skip, that of in.8");
  expect_contains(error_of([&] { return assemble(host, "none", "in.77"); }), "got 'in.77'");
  expect_contains(error_of([&] { return assemble(host, "koala_1b", ""); }), "expected a UNet with SDXL, got sd1");
}

TEST(SaveUNet, TellsWhereTheFileIs) {
  RecordingHost host = host_of(preset_spec("sd15"));
  const Result result = find_node("ASDMSaveUNet").execute(host, {{"model", named("model")}});
  EXPECT_EQ(host.calls, (Names{"save_unet model diffusion_models/asdm_unet"}));
  EXPECT_EQ(std::get<std::string>(result.outputs.at(0)), "/models/diffusion_models/asdm_unet_00001_.safetensors");
  EXPECT_EQ(result.ui_text, "saved /models/diffusion_models/asdm_unet_00001_.safetensors");
  host.description = {"Flux", std::nullopt, "no UNet"};
  expect_contains(error_of([&] { return find_node("ASDMSaveUNet").execute(host, {{"model", named("model")}}); }),
                  "Flux: no UNet");
}

}  // namespace
}  // namespace asdm::nodes
