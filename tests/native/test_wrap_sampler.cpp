#include <gtest/gtest.h>

#include <string>
#include <variant>

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

Result wrap(RecordingHost& host, std::map<std::string, Value> inputs) {
  inputs.emplace("sampler", named("sampler"));
  return find_node("ASDMWrapSampler").execute(host, std::move(inputs));
}

TEST(WrapSampler, SettingsReachTheHost) {
  RecordingHost host;
  const Result result = wrap(host, {{"sites", "out.5"}, {"interval", int64_t{2}}, {"plan", "  \n"}});
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(0))), "sampler+inheritance");
  const auto& options = std::get<InheritanceRequest>(host.inheritance);
  EXPECT_EQ(options.sites, "out.5");
  EXPECT_EQ(options.interval, 2);
  EXPECT_EQ(host.inheritance_where, "ASDMWrapSampler");
}

TEST(WrapSampler, APlanComesBeforeTheSettings) {
  RecordingHost host;
  const Plan plan{"sdxl", 1, "hold", "compute", {{14.5, {}}}};
  wrap(host, {{"plan", Value(to_json(plan))}});
  EXPECT_EQ(std::get<Plan>(host.inheritance), plan);
  EXPECT_EQ(host.inheritance_where, "ASDMWrapSampler.plan");
}

TEST(WrapSampler, ErrorsNameItsOwnInputs) {
  RecordingHost host;
  expect_contains(error_of([&] { return wrap(host, {{"plan", Value(std::string("{}"))}}); }),
                  "ASDMWrapSampler.plan: expected");
  expect_contains(error_of([&] { return wrap(host, {{"sites", Value(std::string())}}); }),
                  "ASDMWrapSampler.sites: expected");
  expect_contains(error_of([&] { return wrap(host, {{"sampler", std::string("euler")}}); }),
                  "ASDMWrapSampler.sampler: expected SAMPLER, got the text 'euler'");
}

}  // namespace
}  // namespace asdm::nodes
