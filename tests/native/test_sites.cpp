#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "native/planning/resolved_settings.h"
#include "native/planning/sites.h"
#include "tests/native/error_of.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;

/// What `sites` resolves to in the preset, as addresses; phases apart by "|".
std::vector<std::string> resolved(const std::string& preset, const std::string& sites,
                                  const std::string& level = "block") {
  const UNetSpec spec = preset_spec(preset);
  const Topology topology = make_topology(spec);
  ResolvedSites found = resolve_sites(topology, spec, site_level_from(level), sites);
  drop_dead_sites(topology, found);
  std::vector<std::string> addresses;
  for (const SitePhase& phase : found.phases) {
    if (&phase != &found.phases.front()) {
      addresses.emplace_back("|");
    }
    const std::vector<std::string> texts = site_texts(topology, phase.sites, found.whole_outputs);
    addresses.insert(addresses.end(), texts.begin(), texts.end());
  }
  return addresses;
}

using Names = std::vector<std::string>;

struct Resolution {
  const char* sites;
  Names addresses;
};

/// Each text stands for these sites of SD1.5.
void expect_resolved(const std::vector<Resolution>& rows) {
  for (const Resolution& row : rows) {
    EXPECT_EQ(resolved("sd15", row.sites), row.addresses) << row.sites;
  }
}

/// "start-end: address" of the phases that "auto" stands for in mode "segment".
Names automatic_phases_at(const std::string& preset, const std::string& level) {
  const UNetSpec spec = preset_spec(preset);
  const Topology topology = make_topology(spec);
  InheritanceRequest request;
  request.level = level;
  request.mode = "segment";
  Names found;
  for (const SitePhase& phase : settings_of(request, topology, spec).phases) {
    const std::string ends = std::to_string(phase.start).substr(0, 3) + "-" + std::to_string(phase.end).substr(0, 3);
    found.push_back(ends + ": " + site_texts(topology, phase.sites, {}).front());
  }
  return found;
}

TEST(Sites, AutoInModeSegmentCutsDeeperFromPhaseToPhase) {
  EXPECT_EQ(automatic_phases_at("sd15", "block"), (Names{"0.0-0.5: out.10", "0.5-0.8: out.8", "0.8-1.0: out.6"}));
  EXPECT_EQ(automatic_phases_at("sd21", "block"), automatic_phases_at("sd15", "block"));
  EXPECT_EQ(automatic_phases_at("sdxl", "block"), (Names{"0.0-0.5: out.4", "0.5-0.8: out.2", "0.8-1.0: out.0"}));
  EXPECT_EQ(automatic_phases_at("sdxl_refiner", "block"),
            (Names{"0.0-0.5: out.7", "0.5-0.8: out.5", "0.8-1.0: out.3"}));
  EXPECT_EQ(automatic_phases_at("sd15", "layer").size(), 1U);
  EXPECT_EQ(automatic_phases_at("sd15", "unit").size(), 1U);
}

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
    EXPECT_EQ(resolve_sites(topology, spec, SiteLevel::kBlock, "auto").phases.front().sites,
              std::vector<NodeId>{topology.output(0)});
  }
}

TEST(Sites, ListsInAnyFormComeOutInEvaluationOrderWithoutRepeats) {
  expect_resolved({
      {"out.8", {"out.8"}},
      {"in.11,mid", {"in.11", "mid"}},
      {"mid, in.0\tin.2\r\nin.1 ,, in.11,", {"in.0", "in.1", "in.2", "in.11", "mid"}},
      {"mid mid, mid", {"mid"}},
      {"  in.2", {"in.2"}},
      {"out.0 in.1 out.0", {"in.1", "out.0"}},
      {"in.4.attn.0.ff, out.9.res, in.4.res.conv", {"out.9.res", "in.4.res.conv", "in.4.attn.0.ff"}},
      {"guidance control out.8", {"out.8", "guidance", "control"}},
      {"out", {"out"}},
      {"in.4.attn:output in.5.attn", {"in.4.attn:output", "in.5.attn"}},
  });
}

TEST(Sites, PatternsStandForAllThatMatch) {
  expect_resolved({
      {"out.9.attn.*.attn?", {"out.9.attn.0.attn1", "out.9.attn.0.attn2"}},
      {"*.attn", {"mid.attn"}},  // a star stops at a dot
      {"in.1?", {"in.10", "in.11"}},
      {"out.?.up:output", {"out.8.up:output"}},  // the others would serve nobody beside it
      {"mid.res?", {"mid.res0", "mid.res1"}},
      {"in.*.down", {"in.3.down", "in.6.down", "in.9.down"}},
      {"in.*.attn.*.ff",
       {"in.1.attn.0.ff", "in.2.attn.0.ff", "in.4.attn.0.ff", "in.5.attn.0.ff", "in.7.attn.0.ff", "in.8.attn.0.ff"}},
      {"out.*", {"out.10"}},  // all but the last block, and the first of them rules
  });
}

TEST(Sites, ManyStarsTakeNoLongerThanTheyMust) {
  // Each star tried at every place of every address would take years, and a call for each would end the stack.
  expect_resolved(
      {{"in.*.*a*t**t*n*.*.f*f*",
        {"in.1.attn.0.ff", "in.2.attn.0.ff", "in.4.attn.0.ff", "in.5.attn.0.ff", "in.7.attn.0.ff", "in.8.attn.0.ff"}}});
  expect_contains(error_of([&] { resolved("sd15", "in.4." + std::string(190, '*') + "x"); }),
                  "sites: expected one of: auto");
}

TEST(Sites, WhatWouldServeNobodyIsLeftOut) {
  expect_resolved({
      {"out.2 out.5 out.8", {"out.8"}},
      {"in.4 mid out.8 in.2.attn", {"out.8", "in.2.attn"}},
      {"in.4.res.conv in.4.res in.5", {"in.5", "in.4.res"}},
      {"out.8.attn:output out.7 out.8.up", {"out.8.up"}},
      {"out mid guidance", {"out"}},
      {"out.11.attn:output out.10 out.11.res", {"out.11.attn:output"}},
  });
}

TEST(Sites, Presets) {
  EXPECT_EQ(resolved("sd15", "encoder").size(), 13U);
  EXPECT_EQ(resolved("sd15", "deepcache"), Names{"out.10"});
  EXPECT_EQ(resolved("sdxl", "deepcache"), Names{"out.7"});
  EXPECT_EQ(resolved("sd15", "attn1").size(), 16U);
  EXPECT_EQ(resolved("sdxl", "ff").size(), 70U);
  EXPECT_EQ(resolved("sdxl", "transformers").size(), 11U);
  EXPECT_EQ(resolved("sd15", "attn2, ff").size(), 32U);
  EXPECT_EQ(resolved("sd15", "second_layers"),
            (Names{"in.2.res", "in.2.attn", "in.5.res", "in.5.attn", "in.8.res", "in.8.attn", "in.11.res", "out.1.res",
                   "out.4.res", "out.4.attn", "out.7.res", "out.7.attn", "out.10.res", "out.10.attn"}));
  EXPECT_EQ(resolved("sdxl", "second_layers"),
            (Names{"in.2.res", "in.5.res", "in.5.attn", "in.8.res", "in.8.attn", "out.1.res", "out.1.attn", "out.4.res",
                   "out.4.attn", "out.7.res"}));
}

TEST(Sites, AutoDependsOnTheLevel) {
  EXPECT_EQ(resolved("sd15", "auto", "layer"), resolved("sd15", "transformers"));
  EXPECT_EQ(resolved("sdxl", "auto", "layer"),
            (Names{"in.7.attn", "in.8.attn", "mid.attn", "out.0.attn", "out.1.attn", "out.2.attn"}));
  EXPECT_EQ(resolved("sd15", "auto", "unit").size(), 15U);  // five blocks at full resolution
  EXPECT_EQ(resolved("sd15", "auto", "unit").front(), "in.1.attn.0.attn1");
  EXPECT_EQ(resolved("sdxl", "auto", "unit").size(), 120U);            // two kinds in 60 deep transformer blocks
  EXPECT_EQ(resolved("sdxl", "mid.attn", "unit"), Names{"mid.attn"});  // an address means itself at any level
  expect_contains(error_of([] { return resolved("sd15", "auto", "pixel"); }),
                  "level: expected one of: block, layer, unit, got 'pixel'");
}

TEST(Sites, PhasesHaveTheirOwn) {
  EXPECT_EQ(resolved("sd15", "0-0.5: out.8; 0.5-1: out.10"), (Names{"out.8", "|", "out.10"}));
  EXPECT_EQ(resolved("sd15", " 0.1 - 0.2 :auto;0.75-1:in.1.attn.0.*, mid.attn:output;"),
            (Names{"out.8", "|", "mid.attn:output", "in.1.attn.0.attn1", "in.1.attn.0.attn2", "in.1.attn.0.ff"}));
  for (const char* text : {"0-0.5 out.8; 0.5-1: out.10", "0.5-1: out.8; 0-0.5: out.10", "0.5-0.5: out.8",
                           "0-1.5: out.8", "0-: out.8", "out.8; 0.5-1: out.10", ";", "0.2-0.4: out.8; 0.3-1: mid"}) {
    expect_contains(error_of([&] { return resolved("sd15", text); }),
                    "sites: expected phases such as '0-0.5: out.10; ");
  }
  expect_contains(error_of([] { return resolved("sd15", "0-0.5: out.99"); }), "got 'out.99'");
}

TEST(Sites, EveryBlockButTheLastIsASite) {
  EXPECT_EQ(site_names(make_topology(preset_spec("sdxl"))),
            (Names{"in.0", "in.1", "in.2", "in.3", "in.4", "in.5", "in.6", "in.7", "in.8", "mid", "out.0", "out.1",
                   "out.2", "out.3", "out.4", "out.5", "out.6", "out.7"}));
  EXPECT_EQ(site_names(make_topology(preset_spec("sd15"))).size(), 24U);
}

TEST(Sites, UnknownNamesListTheKnown) {
  const std::string known =
      "sites: expected one of: auto, encoder, deepcache, attn1, attn2, ff, transformers, second_layers, out, guidance, "
      "control, in.0, in.1, in.2, in.3, in.4, in.5, in.6, in.7, in.8, mid, out.0, out.1, out.2, out.3, out.4, out.5, "
      "out.6, out.7, layers such as out.8.res, units such as out.8.res.conv, got ";
  struct Row {
    const char* sites;
    const char* got;
  };
  const std::vector<Row> rows = {
      {"out.9", "'out.9'"},
      {"out.3 in.9", "'in.9'"},
      {"MID", "'MID'; did you mean 'mid'?"},
      {"in.4.ff", "'in.4.ff'"},
      {"in.04", "'in.04'"},
      {"in.*.ff", "'in.*.ff'"},
      {"", "''"},
      {" ,\n", "''"},
      {"in.*:out", "'in.*:out'"},
      {":output", "':output'"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(error_of([&] { return resolved("sdxl", row.sites); }), known + row.got) << row.sites;
  }
  expect_contains(error_of([] { return resolved("sd15", "out.12"); }), "out.9, out.10, layers such as");
}

TEST(Sites, KnownPartsThatAreNoSitesAreExplained) {
  struct Row {
    const char* sites;
    const char* message;
  };
  const std::vector<Row> rows = {
      {"auto, out.3", "sites: expected auto alone, or addresses and presets without it, got 'auto, out.3'"},
      {"mid auto", "sites: expected auto alone, or addresses and presets without it, got 'mid auto'"},
      {"in.4.attn.0", "sites: expected a block, a layer, or a unit such as in.4.attn.0.attn1, got 'in.4.attn.0'"},
      {"out.8",
       "sites: expected a block before the last one, whose value is the whole UNet's: that is 'out', got 'out.8'"},
      {"mid:output", "sites: expected a layer before ':output', such as out.8.res, got 'mid:output'"},
      {"mid.attn.0.ff:output",
       "sites: expected a layer before ':output', such as out.8.res, got 'mid.attn.0.ff:output'"},
      {"mid.attn, mid.attn:output", "sites: expected one form of mid.attn, with ':output' or without, got both"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(error_of([&] { return resolved("sdxl", row.sites); }), row.message) << row.sites;
  }
}

TEST(Sites, PartsThatAUNetLacksAreNoSites) {
  UNetSpec spec = preset_spec("sd15", 32);
  spec.channel_mult = {1};
  spec.num_res_blocks = {1};
  spec.transformer_depth = {0};
  spec.transformer_depth_output = {0, 0};
  spec.transformer_depth_middle = -1;
  const Topology topology = make_topology(spec);
  expect_contains(error_of([&] { return resolve_sites(topology, spec, SiteLevel::kBlock, "attn1").phases.size(); }),
                  "sites: expected parts that this UNet has, got 'attn1', of which it has none");
  expect_contains(error_of([&] { return resolve_sites(topology, spec, SiteLevel::kLayer, "auto").phases.size(); }),
                  "got 'auto', of which it has none");
}

TEST(Sites, PatternsOfAnyLengthEndSoon) {
  const std::string stars(1'000'000, '*');
  expect_contains(error_of([&] { return resolved("sd15", stars); }), "sites: expected at most 100000 characters");
  expect_contains(error_of([&] { return resolved("sd15", "in.4." + stars.substr(0, 500)); }),
                  "sites: expected names of at most 200 characters");
  EXPECT_EQ(resolved("sd15", "out." + stars.substr(0, 190)), resolved("sd15", "out.*"));
  std::string hard = "in.4.attn.";
  while (hard.size() < 190) {
    hard += "*?";
  }
  expect_contains(error_of([&] { return resolved("sdxl", hard + "x"); }), "sites: expected one of");
  std::string many;
  while (many.size() < 99'990) {
    many += "out.*, ";
  }
  EXPECT_EQ(resolved("sd15", many), resolved("sd15", "out.*"));
}

TEST(Sites, StarsTryAgainWithinTheirPartOfAnAddress) {
  EXPECT_EQ(resolved("sd15", "in.4.attn.0.*n*1"), (Names{"in.4.attn.0.attn1"}));
  EXPECT_EQ(resolved("sd15", "in.4.at?n.0.f*f"), (Names{"in.4.attn.0.ff"}));
  expect_contains(error_of([] { return resolved("sd15", "in*.attn.0.ff"); }), "sites: expected one of");
}

}  // namespace
}  // namespace asdm
