#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "native/format/unet_spec.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

// As the demo file carries it.
const char* const kSd15Width64 =
    R"({"format":"asdm.unet","version":1,"family":"sd1","prediction":"eps","in_channels":4,"out_channels":4,)"
    R"("model_channels":64,"channel_mult":[1,2,4,4],"num_res_blocks":[2,2,2,2],"transformer_depth":[1,1,1,1,1,1,0,0],)"
    R"("transformer_depth_output":[1,1,1,1,1,1,1,1,1,0,0,0],"transformer_depth_middle":1,"context_dim":768,)"
    R"("num_heads":8,"num_head_channels":-1,"use_linear_in_transformer":false,"adm_in_channels":0})";

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = kSd15Width64;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(UNetSpecJson, ReadsAndWritesTheDocumentedText) {
  EXPECT_EQ(spec_from_json(kSd15Width64), preset_spec("sd15", 64));
  EXPECT_EQ(to_json(preset_spec("sd15", 64)), kSd15Width64);
}

TEST(UNetSpecJson, EveryPresetComesBackEqual) {
  for (const std::string& name : preset_names()) {
    EXPECT_EQ(spec_from_json(to_json(preset_spec(name))), preset_spec(name)) << name;
  }
}

TEST(UNetSpecJson, ErrorsNameTheKey) {
  struct Row {
    std::string json;
    std::string message;
  };
  const std::vector<Row> rows = {
      {"", "UNetSpec: expected JSON, got"},
      {"[1]", "UNetSpec: expected a JSON object, got a list"},
      {"{}", "UNetSpec.format: expected \"asdm.unet\", got no such key"},
      {replaced("asdm.unet", "other"), "UNetSpec.format: expected \"asdm.unet\", got \"other\""},
      {replaced("\"version\":1", "\"version\":2"), "UNetSpec.version: expected 1"},
      {replaced("\"version\":1,", ""), "UNetSpec.version: expected 1"},
      {replaced("\"context_dim\":768,", ""), "got no key context_dim"},
      {replaced("\"context_dim\"", "\"context_width\""), "got no key context_dim and unknown key context_width"},
      {replaced("\"sd1\"", "\"flux\""), "UNetSpec.family: expected one of: sd1, sd2, sdxl, sdxl_refiner, got 'flux'"},
      {replaced("\"sd1\"", "1"), "UNetSpec.family: expected a string, got 1"},
      {replaced("\"eps\"", "\"x0\""), "UNetSpec.prediction: expected one of: eps, v, got 'x0'"},
      {replaced("\"context_dim\":768", "\"context_dim\":\"768\""),
       "UNetSpec.context_dim: expected an integer, got \"768\""},
      {replaced("\"context_dim\":768", "\"context_dim\":768.5"),
       "UNetSpec.context_dim: expected an integer, got 768.5"},
      {replaced("\"context_dim\":768", "\"context_dim\":18446744073709551615"),
       "UNetSpec.context_dim: expected an integer, got 18446744073709551615"},
      {replaced("[1,2,4,4]", "4"), "UNetSpec.channel_mult: expected a list of integers, got 4"},
      {replaced("[1,2,4,4]", "[1,2,true,4]"), "UNetSpec.channel_mult[2]: expected an integer, got true"},
      {replaced("false", "0"), "UNetSpec.use_linear_in_transformer: expected true or false, got 0"},
      {replaced("\"num_heads\":8", "\"num_heads\":8,\"num_heads\":8"),
       "UNetSpec: expected every key once, got 'num_heads' twice"},
      {replaced("\"model_channels\":64", "\"model_channels\":65"),
       "UNetSpec.model_channels: expected a multiple of 32"},
      {std::string(100000, '['), "nested at most 8 deep"},
  };
  for (const Row& row : rows) {
    expect_contains(error_of([&] { return spec_from_json(row.json); }), row.message);
  }
}

}  // namespace
}  // namespace asdm
