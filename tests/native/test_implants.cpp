#include <gtest/gtest.h>

#include "native/assembly/implants.h"
#include "native/assembly/pruning_maps.h"
#include "native/format/unet_layout.h"

namespace asdm {
namespace {

using Addresses = std::set<std::string>;

UNetSpec student(const char* map, const char* preset = "sd15") {
  const UNetSpec full = preset_spec(preset);
  return without(full, pruning_map(map, full));
}

TEST(Implants, EachLevelIsOneEncoderAndDecoderPair) {
  const std::vector<Implant> implants = implants_of(student("s0_s1"));
  ASSERT_EQ(implants.size(), 2);
  EXPECT_EQ(implants[0].name, "S0");
  EXPECT_EQ(Addresses(implants[0].hybrid.removed.begin(), implants[0].hybrid.removed.end()),
            (Addresses{"in.2", "out.10"}));
  EXPECT_EQ(implants[0].blocks, (Addresses{"in.0", "in.1", "in.3", "out.9", "out.11"}));
  EXPECT_EQ(implants[1].name, "S1");
  EXPECT_EQ(implants[1].blocks, (Addresses{"in.4", "in.6", "out.6", "out.8"}));
}

TEST(Implants, LevelsThatCannotBePartedAreOne) {
  for (const char* map : {"s0", "s0_s1_s2", "thin", "bk_base", "bk_small", "bk_tiny"}) {
    Addresses removed;
    for (const Implant& implant : implants_of(student(map))) {
      EXPECT_NO_THROW(implant.hybrid.validate()) << map << " " << implant.name;
      EXPECT_FALSE(implant.blocks.empty()) << map << " " << implant.name;
      removed.insert(implant.hybrid.removed.begin(), implant.hybrid.removed.end());
    }
    const UNetSpec spec = student(map);
    EXPECT_EQ(removed, Addresses(spec.removed.begin(), spec.removed.end())) << map;
  }
  EXPECT_EQ(implants_of(student("bk_tiny")).back().name, "S2+S3");
}

TEST(Implants, ExpertsAreTrainedWithTheirBlocks) {
  UNetSpec spec = student("s0_s1");
  spec.me_cond_conv = {{"in.1.res.conv2", {}}, {"in.4.res.conv2", {}}, {"out.11.res.conv2", {}}};
  const std::vector<Implant> implants = implants_of(spec);
  const auto sites = [&](size_t index) {
    std::vector<std::string> names;
    for (const MECondConvSite& site : implants.at(index).hybrid.me_cond_conv) {
      names.push_back(site.site);
    }
    return names;
  };
  EXPECT_EQ(sites(0), (std::vector<std::string>{"in.1.res.conv2", "out.11.res.conv2"}));
  EXPECT_EQ(sites(1), (std::vector<std::string>{"in.4.res.conv2"}));
}

TEST(Implants, AFullUNetHasNone) { EXPECT_TRUE(implants_of(preset_spec("sdxl")).empty()); }

}  // namespace
}  // namespace asdm
