#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "native/unet/profile.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::TinyUNet;

/// Entries by address of `calls` watched forwards.
std::map<std::string, Profile::Entry> watched(TinyUNet& tiny, int calls) {
  Profile profile{at::Device(at::kCPU)};
  for (int i = 0; i < calls; ++i) {
    Hooks none;
    CallFeatures features;
    (void)tiny.unet.forward(tiny.inputs(), tiny.weights, none, features, {.observer = &profile});
  }
  std::map<std::string, Profile::Entry> entries;
  for (const Profile::Entry& entry : profile.entries()) {
    EXPECT_TRUE(entries.emplace(entry.address, entry).second) << entry.address << " stands twice";
  }
  return entries;
}

TEST(Profile, MeetsEveryAddressOncePerCall) {
  for (const char* preset : {"sd15", "sdxl"}) {
    TinyUNet tiny(preset);
    const auto entries = watched(tiny, 2);
    for (const std::string& address : all_addresses(tiny.unet.topology())) {
      if (address == "guidance" || address == "control") {
        continue;  // no parts of a forward
      }
      ASSERT_TRUE(entries.contains(address)) << preset << " " << address;
      EXPECT_EQ(entries.at(address).calls, 2) << preset << " " << address;
    }
  }
}

TEST(Profile, CountsInnerPartsIntoOuterOnes) {
  TinyUNet tiny;
  const auto entries = watched(tiny, 1);
  const auto seconds = [&](const std::string& address) { return entries.at(address).seconds; };
  EXPECT_GT(seconds("in.1.res"), 0.0);
  EXPECT_GE(seconds("in.1"), seconds("in.1.res") + seconds("in.1.attn"));
  EXPECT_GE(seconds("in.1.attn.0"),
            seconds("in.1.attn.0.attn1") + seconds("in.1.attn.0.attn2") + seconds("in.1.attn.0.ff"));
}

TEST(Profile, LeavesTheResultAsItIs) {
  TinyUNet tiny;
  const ForwardInputs inputs = tiny.inputs();
  Profile profile{at::Device(at::kCPU)};
  Hooks none;
  CallFeatures features;
  EXPECT_TRUE(tiny.unet.forward(inputs, tiny.weights, none, features, {.observer = &profile}).equal(tiny.full(inputs)));
}

}  // namespace
}  // namespace asdm
