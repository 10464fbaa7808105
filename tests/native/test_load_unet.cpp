#include <gtest/gtest.h>

#include <string>

#include "native/format/unet_spec.h"
#include "nodes/registry.h"
#include "tests/native/error_of.h"
#include "tests/native/recording_host.h"
#include "tests/native/safetensors_bytes.h"

namespace asdm::nodes {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::label_of;
using testing::RecordingHost;
using testing::safetensors_bytes;
using testing::write_file;

/// A file without tensors whose metadata hold `value` under `key`.
std::string file_with(const std::string& key, const std::string& value) {
  std::string escaped;
  for (const char c : value) {
    escaped += c == '"' ? std::string("\\\"") : std::string(1, c);
  }
  return write_file(safetensors_bytes(R"({"__metadata__":{")" + key + R"(":")" + escaped + R"("}})", ""));
}

Result load(RecordingHost& host, std::map<std::string, Value> inputs) {
  return find_node("ASDMLoadUNet").execute(host, std::move(inputs));
}

TEST(LoadUNet, LoadsAndInstallsTheEngine) {
  RecordingHost host;
  const UNetSpec spec = preset_spec("sd15", 64);
  const std::string path = file_with("asdm.unet_spec", to_json(spec));
  host.files = {{"demo.safetensors", path}};
  const Result result = load(host, {{"unet_name", "demo.safetensors"}, {"weight_dtype", "bf16"}, {"engine", "native"}});
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "loaded+native");
  EXPECT_EQ(host.calls, (std::vector<std::string>{"list_models diffusion_models", "load_unet " + path + " bf16"}));
  EXPECT_EQ(host.description.spec, spec);
  EXPECT_EQ(host.compute_dtype, "auto");
  EXPECT_FALSE(result.ui_text.has_value());
}

TEST(LoadUNet, ReferenceStaysInPython) {
  RecordingHost host;
  host.files = {{"demo.safetensors", file_with("asdm.unet_spec", to_json(preset_spec("sd15", 64)))}};
  const Result result = load(host, {{"unet_name", "demo.safetensors"}, {"engine", "reference"}});
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "loaded");
}

TEST(LoadUNet, AFileWithoutAUNetIsNamed) {
  RecordingHost host;
  const std::string path = file_with("format", "pt");
  host.files = {{"clip.safetensors", path}};
  EXPECT_EQ(error_of([&] { return load(host, {{"unet_name", "clip.safetensors"}}); }),
            path +
                ": expected the UNet of SD1.x, SD2.x, SDXL, SDXL refiner, whole or without some of its parts, got no "
                "tensors of one, or not its first and last convolution and a cross-attention");
}

TEST(LoadUNet, ABadSpecNamesFileAndKey) {
  RecordingHost host;
  const std::string path = file_with("asdm.unet_spec", "{}");
  host.files = {{"bad.safetensors", path}};
  const std::string message = error_of([&] { return load(host, {{"unet_name", "bad.safetensors"}}); });
  expect_contains(message, path);
  expect_contains(message, "UNetSpec.format");
}

TEST(LoadUNet, UnknownNamesListTheKnown) {
  RecordingHost host;
  host.files = {{"a.safetensors", ""}, {"b.safetensors", ""}};
  expect_contains(error_of([&] { return load(host, {{"unet_name", "c.safetensors"}}); }),
                  "ASDMLoadUNet.unet_name: expected one of: a.safetensors, b.safetensors, got 'c.safetensors'");
  expect_contains(error_of([&] { return load(host, {{"unet_name", "a.safetensors"}, {"weight_dtype", "fp8"}}); }),
                  "ASDMLoadUNet.weight_dtype: expected one of: default, fp32, bf16, fp16, got 'fp8'");
  expect_contains(error_of([&] { return load(host, {{"unet_name", "a.safetensors"}, {"engine", "cuda"}}); }),
                  "ASDMLoadUNet.engine: expected one of: native, reference, got 'cuda'");
}

}  // namespace
}  // namespace asdm::nodes
