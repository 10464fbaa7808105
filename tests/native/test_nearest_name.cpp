#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "native/base/nearest_name.h"
#include "native/format/choices.h"
#include "native/format/mode_inputs.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

const std::vector<std::string> kNames = {"auto", "out", "out.7", "out.8", "in.4.attn", "encoder"};

TEST(NearestName, IsTheOneAFewLettersAway) {
  EXPECT_EQ(nearest_name("out8", kNames), "out.8");
  EXPECT_EQ(nearest_name("OUT.8", kNames), "out.8");
  EXPECT_EQ(nearest_name("in4.attn", kNames), "in.4.attn");
  EXPECT_EQ(nearest_name("encodr", kNames), "encoder");
  EXPECT_EQ(nearest_name("aut", kNames), "auto");
}

TEST(NearestName, IsNoneWhereNothingIsNear) {
  EXPECT_EQ(nearest_name("sometimes", kNames), "");
  EXPECT_EQ(nearest_name("out.6", kNames), "") << "out.7 and out.8 are as near";
  EXPECT_EQ(nearest_name("", kNames), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'o'), kNames), "");
}

TEST(NearestName, EndsTheMessageOfAnUnknownName) {
  expect_contains(
      error_of([]() -> int { throw unknown_name("sites", "out8", kNames); }),
      "sites: expected one of: auto, out, out.7, out.8, in.4.attn, encoder, got 'out8'; did you mean 'out.8'?");
  expect_contains(error_of([]() -> int { throw unknown_name("sites", "nothing", kNames); }), "encoder, got 'nothing'");
}

TEST(ModeInputs, AreReadInSomeModesAndOthersInAll) {
  EXPECT_EQ(modes_that_read("full_at"), std::vector<std::string>{"explicit"});
  EXPECT_EQ(modes_that_read("threshold"), (std::vector<std::string>{"adaptive", "easycache"}));
  EXPECT_EQ(modes_that_read("sites"), time_step_mode_names());
}

}  // namespace
}  // namespace asdm
