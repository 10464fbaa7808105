#include "native/unet/sites.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

/// The addresses that `sites` resolves to in the preset.
std::vector<std::string> resolved(const std::string& preset, const std::string& sites) {
  const UNetSpec spec = preset_spec(preset);
  const Topology topology = make_topology(spec);
  std::vector<std::string> addresses;
  for (const NodeId node : resolve_sites(topology, spec, sites)) {
    addresses.push_back(topology.blocks.at(static_cast<size_t>(node)).address);
  }
  return addresses;
}

using Names = std::vector<std::string>;

TEST(Sites, AutoSuitsTheArchitecture) {
  struct Row {
    const char* preset;
    const char* cut;
  };
  const std::vector<Row> rows = {
      {"sd15", "out.8"}, {"sd21", "out.8"}, {"sd21v", "out.8"}, {"sdxl", "out.2"}, {"sdxl_refiner", "out.5"}};
  ASSERT_EQ(rows.size(), preset_names().size());
  for (const Row& row : rows) {
    EXPECT_EQ(resolved(row.preset, "auto"), Names{row.cut}) << row.preset;
    EXPECT_EQ(resolved(row.preset, " auto\n"), Names{row.cut}) << row.preset;
  }
}

TEST(Sites, AutoIsALegalSiteOfSmallUNetsToo) {
  UNetSpec spec = preset_spec("sd15", 32);
  spec.channel_mult = {1};
  spec.num_res_blocks = {1};
  spec.transformer_depth = {0};
  spec.transformer_depth_output = {0, 0};
  for (const Family family : {Family::kSD1, Family::kSDXL}) {
    spec.family = family;
    const Topology topology = make_topology(spec);
    EXPECT_EQ(resolve_sites(topology, spec, "auto"), std::vector<NodeId>{topology.output(0)});
  }
}

TEST(Sites, ListsInAnyFormComeOutInEvaluationOrderWithoutRepeats) {
  struct Row {
    const char* sites;
    Names addresses;
  };
  const std::vector<Row> rows = {
      {"out.8", {"out.8"}},
      {"out.8,mid", {"mid", "out.8"}},
      {"out.10, in.0\tmid\r\nout.9 ,, in.11,", {"in.0", "in.11", "mid", "out.9", "out.10"}},
      {"mid mid, mid", {"mid"}},
      {"  in.2", {"in.2"}},
      {"out.0 in.1 out.0", {"in.1", "out.0"}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(resolved("sd15", row.sites), row.addresses) << row.sites;
  }
}

TEST(Sites, EveryBlockButTheLastIsASite) {
  EXPECT_EQ(site_names(make_topology(preset_spec("sdxl"))),
            (Names{"in.0", "in.1", "in.2", "in.3", "in.4", "in.5", "in.6", "in.7", "in.8", "mid", "out.0", "out.1",
                   "out.2", "out.3", "out.4", "out.5", "out.6", "out.7"}));
  EXPECT_EQ(site_names(make_topology(preset_spec("sd15"))).size(), 24U);
}

TEST(Sites, UnknownNamesListTheKnown) {
  const std::string known =
      "sites: expected one of: auto, in.0, in.1, in.2, in.3, in.4, in.5, in.6, in.7, in.8, mid, out.0, out.1, out.2, "
      "out.3, out.4, out.5, out.6, out.7, got ";
  struct Row {
    const char* sites;
    const char* got;
  };
  const std::vector<Row> rows = {
      {"out.9", "'out.9'"},
      {"out.3 in.9", "'in.9'"},
      {"MID", "'MID'"},
      {"in.4.ff", "'in.4.ff'"},
      {"in.04", "'in.04'"},
      {"out.3;mid", "'out.3;mid'"},
      {"", "''"},
      {" ,\n", "''"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(error_of([&] { return resolved("sdxl", row.sites); }), known + row.got) << row.sites;
  }
  expect_contains(error_of([] { return resolved("sd15", "out.12"); }), "out.9, out.10, got 'out.12'");
}

TEST(Sites, KnownPartsThatAreNoSitesAreExplained) {
  struct Row {
    const char* sites;
    const char* message;
  };
  const std::vector<Row> rows = {
      {"auto, out.3", "sites: expected auto alone, or addresses of blocks without it, got 'auto, out.3'"},
      {"mid auto", "sites: expected auto alone, or addresses of blocks without it, got 'mid auto'"},
      {"in.4.attn", "sites: expected a whole block, such as in.4, got 'in.4.attn'"},
      {"out.1, mid.attn.0.ff", "sites: expected a whole block, such as mid, got 'mid.attn.0.ff'"},
      {"out.8", "sites: expected a block before the last one, whose value is the whole UNet's, got 'out.8'"},
      {"mid, out.8.res", "sites: expected a block before the last one, whose value is the whole UNet's, got "
                         "'out.8.res'"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(error_of([&] { return resolved("sdxl", row.sites); }), row.message) << row.sites;
  }
}

}  // namespace
}  // namespace asdm
