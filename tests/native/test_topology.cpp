#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "native/unet/topology.h"
#include "native/unet/unet.h"

namespace asdm {
namespace {

using Names = std::vector<std::string>;

Topology topology_of(const std::string& preset) { return make_topology(preset_spec(preset)); }

/// "in.4 /2: res=input_blocks.4.0 320>640 attn=input_blocks.4.1 640>640".
std::string text_of(const BlockTopology& block) {
  std::string text = block.address + " /" + std::to_string(int64_t{1} << block.level) + ":";
  for (const LayerTopology& layer : block.layers) {
    EXPECT_EQ(layer.address.substr(0, block.address.size() + 1), block.address + ".");
    text += " " + layer.address.substr(block.address.size() + 1) + "=" + layer.key + " " +
            std::to_string(layer.in_channels) + ">" + std::to_string(layer.out_channels);
  }
  EXPECT_EQ(block.out_channels, block.layers.back().out_channels) << block.address;
  return text;
}

TEST(Topology, BlocksOfSD15) {
  const Names expected = {
      "in.0 /1: conv=input_blocks.0.0 4>320",
      "in.1 /1: res=input_blocks.1.0 320>320 attn=input_blocks.1.1 320>320",
      "in.2 /1: res=input_blocks.2.0 320>320 attn=input_blocks.2.1 320>320",
      "in.3 /1: down=input_blocks.3.0 320>320",
      "in.4 /2: res=input_blocks.4.0 320>640 attn=input_blocks.4.1 640>640",
      "in.5 /2: res=input_blocks.5.0 640>640 attn=input_blocks.5.1 640>640",
      "in.6 /2: down=input_blocks.6.0 640>640",
      "in.7 /4: res=input_blocks.7.0 640>1280 attn=input_blocks.7.1 1280>1280",
      "in.8 /4: res=input_blocks.8.0 1280>1280 attn=input_blocks.8.1 1280>1280",
      "in.9 /4: down=input_blocks.9.0 1280>1280",
      "in.10 /8: res=input_blocks.10.0 1280>1280",
      "in.11 /8: res=input_blocks.11.0 1280>1280",
      "mid /8: res0=middle_block.0 1280>1280 attn=middle_block.1 1280>1280 res1=middle_block.2 1280>1280",
      "out.0 /8: res=output_blocks.0.0 2560>1280",
      "out.1 /8: res=output_blocks.1.0 2560>1280",
      "out.2 /8: res=output_blocks.2.0 2560>1280 up=output_blocks.2.1 1280>1280",
      "out.3 /4: res=output_blocks.3.0 2560>1280 attn=output_blocks.3.1 1280>1280",
      "out.4 /4: res=output_blocks.4.0 2560>1280 attn=output_blocks.4.1 1280>1280",
      "out.5 /4: res=output_blocks.5.0 1920>1280 attn=output_blocks.5.1 1280>1280 up=output_blocks.5.2 1280>1280",
      "out.6 /2: res=output_blocks.6.0 1920>640 attn=output_blocks.6.1 640>640",
      "out.7 /2: res=output_blocks.7.0 1280>640 attn=output_blocks.7.1 640>640",
      "out.8 /2: res=output_blocks.8.0 960>640 attn=output_blocks.8.1 640>640 up=output_blocks.8.2 640>640",
      "out.9 /1: res=output_blocks.9.0 960>320 attn=output_blocks.9.1 320>320",
      "out.10 /1: res=output_blocks.10.0 640>320 attn=output_blocks.10.1 320>320",
      "out.11 /1: res=output_blocks.11.0 640>320 attn=output_blocks.11.1 320>320",
  };
  Names texts;
  for (const BlockTopology& block : topology_of("sd15").blocks) {
    texts.push_back(text_of(block));
  }
  EXPECT_EQ(texts, expected);
}

TEST(Topology, NodeIdsKindsAndNumbersAgree) {
  struct Row {
    const char* preset;
    int64_t inputs;
    int64_t outputs;
  };
  for (const Row& row : {Row{"sd15", 12, 12}, Row{"sd21", 12, 12}, Row{"sdxl", 9, 9}, Row{"sdxl_refiner", 12, 12}}) {
    const Topology topology = topology_of(row.preset);
    ASSERT_EQ(topology.first_output(), row.inputs + 1);
    ASSERT_EQ(static_cast<int64_t>(topology.blocks.size()), row.inputs + 1 + row.outputs);
    const auto at = [&](NodeId node) { return topology.blocks.at(static_cast<size_t>(node)); };
    for (int64_t i = 0; i < row.inputs; ++i) {
      EXPECT_EQ(at(topology.input(i)).address, "in." + std::to_string(i));
      EXPECT_EQ(at(topology.input(i)).kind, BlockKind::kInput);
      EXPECT_EQ(at(topology.input(i)).number, i);
      EXPECT_EQ(at(topology.output(i)).address, "out." + std::to_string(i));
      EXPECT_EQ(at(topology.output(i)).kind, BlockKind::kOutput);
      EXPECT_EQ(at(topology.output(i)).number, i);
    }
    EXPECT_EQ(at(topology.middle()).address, "mid");
    EXPECT_EQ(at(topology.middle()).kind, BlockKind::kMiddle);
  }
}

TEST(Topology, OutputsTakeTheSkipsInReverse) {
  const Topology sd15 = topology_of("sd15");
  Names pairs;
  for (int64_t j = 0; j < 12; ++j) {
    const BlockTopology& skip = sd15.block(sd15.block(sd15.output(j)).skip);
    pairs.push_back(skip.address);
    const BlockTopology& before = sd15.blocks.at(static_cast<size_t>(sd15.output(j) - 1));
    const LayerTopology& join = sd15.blocks.at(static_cast<size_t>(sd15.output(j))).layers.front();
    EXPECT_EQ(join.in_channels, before.out_channels + skip.out_channels) << "out." << j;
  }
  EXPECT_EQ(pairs,
            (Names{"in.11", "in.10", "in.9", "in.8", "in.7", "in.6", "in.5", "in.4", "in.3", "in.2", "in.1", "in.0"}));
  const Topology sdxl = topology_of("sdxl");
  EXPECT_EQ(sdxl.block(sdxl.output(0)).skip, sdxl.input(8));
  EXPECT_EQ(sdxl.block(sdxl.output(8)).skip, sdxl.input(0));
}

/// "address x depth, heads x width" of each transformer, in the order of transformer_index.
Names transformers(const std::string& preset) {
  const Topology topology = topology_of(preset);
  Names found;
  for (const BlockTopology& block : topology.blocks) {
    for (const LayerTopology& layer : block.layers) {
      if (layer.kind == LayerKind::kTransformer) {
        EXPECT_EQ(layer.transformer_index, static_cast<int64_t>(found.size())) << layer.address;
        EXPECT_EQ(layer.transformer.channels, layer.in_channels);
        found.push_back(layer.address + " x" + std::to_string(layer.transformer.depth()) + ", " +
                        std::to_string(layer.transformer.heads) + "x" + std::to_string(layer.transformer.dim_head));
      }
    }
  }
  return found;
}

TEST(Topology, TransformersAreCountedInEvaluationOrder) {
  EXPECT_EQ(transformers("sd15"),
            (Names{"in.1.attn x1, 8x40", "in.2.attn x1, 8x40", "in.4.attn x1, 8x80", "in.5.attn x1, 8x80",
                   "in.7.attn x1, 8x160", "in.8.attn x1, 8x160", "mid.attn x1, 8x160", "out.3.attn x1, 8x160",
                   "out.4.attn x1, 8x160", "out.5.attn x1, 8x160", "out.6.attn x1, 8x80", "out.7.attn x1, 8x80",
                   "out.8.attn x1, 8x80", "out.9.attn x1, 8x40", "out.10.attn x1, 8x40", "out.11.attn x1, 8x40"}));
  EXPECT_EQ(transformers("sdxl"),
            (Names{"in.4.attn x2, 10x64", "in.5.attn x2, 10x64", "in.7.attn x10, 20x64", "in.8.attn x10, 20x64",
                   "mid.attn x10, 20x64", "out.0.attn x10, 20x64", "out.1.attn x10, 20x64", "out.2.attn x10, 20x64",
                   "out.3.attn x2, 10x64", "out.4.attn x2, 10x64", "out.5.attn x2, 10x64"}));
  EXPECT_EQ(transformers("sd21").front(), "in.1.attn x1, 5x64");
  EXPECT_EQ(transformers("sd21").size(), 16U);
}

TEST(Topology, DepthsOfTheDecoderAreTakenFromTheEndOfTheList) {
  UNetSpec spec = preset_spec("sd15", 32);
  spec.transformer_depth_output = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0};
  const Topology topology = make_topology(spec);
  std::map<std::string, int64_t> depths;
  for (const BlockTopology& block : topology.blocks) {
    for (const LayerTopology& layer : block.layers) {
      depths[layer.address] = layer.transformer.depth();
    }
  }
  EXPECT_EQ(depths.at("out.3.attn"), 9);
  EXPECT_EQ(depths.at("out.8.attn"), 4);
  EXPECT_EQ(depths.at("out.11.attn"), 1);
}

TEST(Topology, TheMiddleMayBeShortOrAbsent) {
  UNetSpec spec = preset_spec("sd15", 32);
  spec.transformer_depth_middle = -1;
  Topology topology = make_topology(spec);
  ASSERT_EQ(topology.blocks[12].layers.size(), 1U);
  EXPECT_EQ(topology.blocks[12].layers[0].key, "middle_block.0");
  EXPECT_EQ(topology.blocks[13].layers[0].in_channels, 256);
  spec.transformer_depth_middle = -2;
  topology = make_topology(spec);
  EXPECT_TRUE(topology.blocks[12].layers.empty());
  EXPECT_EQ(topology.blocks[12].address, "mid");
  EXPECT_EQ(topology.blocks[12].out_channels, 128);
  EXPECT_EQ(topology.blocks[13].layers[0].in_channels, 256);
}

TEST(Topology, AddressesNameBlocksLayersAndUnitsOnce) {
  const Names addresses = all_addresses(topology_of("sd15"));
  const std::set<std::string> set(addresses.begin(), addresses.end());
  EXPECT_EQ(set.size(), addresses.size());
  // 25 blocks; 1 conv, 22 res, 16 attn, 3 down, 3 up; 3 units in each of the 16 and 1 in each of the 22; the whole
  // UNet, guidance and control.
  EXPECT_EQ(addresses.size(), 25U + 45U + 48U + 22U + 3U);
  for (const char* known : {"in.4", "in.4.res", "in.4.attn", "in.4.attn.0.attn1", "in.4.attn.0.attn2", "mid",
                            "mid.res0", "mid.attn.0.ff", "mid.res1", "out.9.attn.0.ff", "in.0.conv", "in.9.down",
                            "out.8.up", "in.4.res.conv", "mid.res1.conv", "out", "guidance", "control"}) {
    EXPECT_TRUE(set.contains(known)) << known;
  }
  EXPECT_EQ(addresses[0], "in.0");
  EXPECT_EQ(Names(addresses.begin() + 24, addresses.begin() + 30),
            (Names{"out.11", "out", "in.0.conv", "in.1.res", "in.1.attn", "in.2.res"}));
  EXPECT_EQ(Names(addresses.begin() + 71, addresses.begin() + 76),
            (Names{"in.1.res.conv", "in.1.attn.0.attn1", "in.1.attn.0.attn2", "in.1.attn.0.ff", "in.2.res.conv"}));
  const Names sdxl = all_addresses(topology_of("sdxl"));
  EXPECT_EQ(std::count(sdxl.begin(), sdxl.end(), "in.8.attn.9.attn2"), 1);
  EXPECT_EQ(std::count(sdxl.begin(), sdxl.end(), "in.8.attn.10.attn2"), 0);
  // 19 blocks; 1 conv, 17 res, 11 attn, 2 down, 2 up; 70 transformer blocks; and the three outside of blocks.
  EXPECT_EQ(sdxl.size(), 19U + 33U + 3U * 70U + 17U + 3U);
}

TEST(Topology, NodesKnowTheirPlaceAndTheSizeOfTheirValue) {
  const Topology topology = topology_of("sd15");
  const auto find = [&](const std::string& address) {
    const auto found = std::find_if(topology.nodes.begin(), topology.nodes.end(),
                                    [&](const Node& node) { return node.address == address; });
    return static_cast<NodeId>(found - topology.nodes.begin());
  };
  struct Row {
    const char* address;
    NodeKind kind;
    const char* block;  // nullptr: none
    int64_t channels;
    int64_t level;
  };
  const std::vector<Row> rows = {
      {"in.3", NodeKind::kBlock, "in.3", 320, 1},         {"out.8", NodeKind::kBlock, "out.8", 640, 0},
      {"mid", NodeKind::kBlock, "mid", 1280, 3},          {"out", NodeKind::kWhole, nullptr, 4, 0},
      {"in.4.res", NodeKind::kLayer, "in.4", 640, 1},     {"in.3.down", NodeKind::kLayer, "in.3", 320, 1},
      {"out.8.attn", NodeKind::kLayer, "out.8", 640, 1},  {"out.8.up", NodeKind::kLayer, "out.8", 640, 0},
      {"in.4.res.conv", NodeKind::kUnit, "in.4", 640, 1}, {"out.8.attn.0.ff", NodeKind::kUnit, "out.8", 640, 1},
      {"guidance", NodeKind::kGuidance, nullptr, 4, 0},   {"control", NodeKind::kControl, nullptr, 0, 0},
  };
  for (const Row& row : rows) {
    const Node& node = topology.node(find(row.address));
    EXPECT_EQ(node.kind, row.kind) << row.address;
    EXPECT_EQ(node.channels, row.channels) << row.address;
    EXPECT_EQ(node.level, row.level) << row.address;
    EXPECT_EQ(node.block < 0 ? "" : topology.block(node.block).address, row.block == nullptr ? "" : row.block);
    if (node.layer >= 0) {
      EXPECT_TRUE(node.address.starts_with(topology.layer(node).address)) << row.address;
    }
  }
  EXPECT_EQ(find("out"), topology.whole());
  EXPECT_EQ(find("guidance"), topology.guidance());
  EXPECT_EQ(find("control"), topology.control());
}

TEST(Topology, KindsHaveTheHostsNames) {
  EXPECT_EQ(to_string(BlockKind::kInput), "input");
  EXPECT_EQ(to_string(BlockKind::kMiddle), "middle");
  EXPECT_EQ(to_string(BlockKind::kOutput), "output");
}

int64_t size_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

TEST(Leaves, TotalsAreThePublishedOnes) {
  struct Row {
    const char* preset;
    int64_t tensors;  // entries of the published state dict
    int64_t parameters;
  };
  const std::vector<Row> rows = {{"sd15", 686, 859520964}, {"sd21", 686, 865910724}, {"sdxl", 1680, 2567463684}};
  for (const Row& row : rows) {
    int64_t tensors = 0;
    int64_t parameters = 0;
    std::set<std::string> names;
    const UNet unet(preset_spec(row.preset));
    for (const LeafInfo& leaf : unet.leaves()) {
      tensors += leaf.has_bias ? 2 : 1;
      parameters += size_of(leaf.shape) + (leaf.has_bias ? leaf.shape.front() : 0);
      EXPECT_TRUE(names.insert(leaf.name).second) << leaf.name << " twice";
    }
    EXPECT_EQ(tensors, row.tensors) << row.preset;
    EXPECT_EQ(parameters, row.parameters) << row.preset;
  }
}

TEST(Leaves, NamesAndShapesAreThoseOfTheCheckpoints) {
  struct Row {
    const char* preset;
    const char* name;
    LeafKind kind;
    std::vector<int64_t> shape;
    bool has_bias;
  };
  const std::vector<Row> rows = {
      {"sd15", "time_embed.0", LeafKind::kLinear, {1280, 320}, true},
      {"sd15", "time_embed.2", LeafKind::kLinear, {1280, 1280}, true},
      {"sd15", "input_blocks.0.0", LeafKind::kConv2d, {320, 4, 3, 3}, true},
      {"sd15", "input_blocks.4.0.in_layers.0", LeafKind::kGroupNorm, {320}, true},
      {"sd15", "input_blocks.4.0.in_layers.2", LeafKind::kConv2d, {640, 320, 3, 3}, true},
      {"sd15", "input_blocks.4.0.emb_layers.1", LeafKind::kLinear, {640, 1280}, true},
      {"sd15", "input_blocks.4.0.out_layers.0", LeafKind::kGroupNorm, {640}, true},
      {"sd15", "input_blocks.4.0.out_layers.3", LeafKind::kConv2d, {640, 640, 3, 3}, true},
      {"sd15", "input_blocks.4.0.skip_connection", LeafKind::kConv2d, {640, 320, 1, 1}, true},
      {"sd15", "input_blocks.4.1.norm", LeafKind::kGroupNorm, {640}, true},
      {"sd15", "input_blocks.4.1.proj_in", LeafKind::kConv2d, {640, 640, 1, 1}, true},
      {"sd15", "input_blocks.4.1.transformer_blocks.0.norm3", LeafKind::kLayerNorm, {640}, true},
      {"sd15", "input_blocks.4.1.transformer_blocks.0.attn1.to_q", LeafKind::kLinear, {640, 640}, false},
      {"sd15", "input_blocks.4.1.transformer_blocks.0.attn2.to_k", LeafKind::kLinear, {640, 768}, false},
      {"sd15", "input_blocks.4.1.transformer_blocks.0.attn2.to_v", LeafKind::kLinear, {640, 768}, false},
      {"sd15", "input_blocks.4.1.transformer_blocks.0.attn2.to_out.0", LeafKind::kLinear, {640, 640}, true},
      {"sd15", "input_blocks.4.1.transformer_blocks.0.ff.net.0.proj", LeafKind::kLinear, {5120, 640}, true},
      {"sd15", "input_blocks.4.1.transformer_blocks.0.ff.net.2", LeafKind::kLinear, {640, 2560}, true},
      {"sd15", "input_blocks.3.0.op", LeafKind::kConv2d, {320, 320, 3, 3}, true},
      {"sd15", "middle_block.2.out_layers.3", LeafKind::kConv2d, {1280, 1280, 3, 3}, true},
      {"sd15", "output_blocks.2.1.conv", LeafKind::kConv2d, {1280, 1280, 3, 3}, true},
      {"sd15", "output_blocks.8.2.conv", LeafKind::kConv2d, {640, 640, 3, 3}, true},
      {"sd15", "out.0", LeafKind::kGroupNorm, {320}, true},
      {"sd15", "out.2", LeafKind::kConv2d, {4, 320, 3, 3}, true},
      {"sd21", "input_blocks.4.1.proj_in", LeafKind::kLinear, {640, 640}, true},
      {"sd21", "output_blocks.3.1.transformer_blocks.0.attn2.to_k", LeafKind::kLinear, {1280, 1024}, false},
      {"sdxl", "label_emb.0.0", LeafKind::kLinear, {1280, 2816}, true},
      {"sdxl", "label_emb.0.2", LeafKind::kLinear, {1280, 1280}, true},
      {"sdxl", "middle_block.1.transformer_blocks.9.attn2.to_k", LeafKind::kLinear, {1280, 2048}, false},
  };
  std::map<std::string, std::map<std::string, LeafInfo>> leaves;
  for (const char* preset : {"sd15", "sd21", "sdxl"}) {
    const UNet unet(preset_spec(preset));
    for (const LeafInfo& leaf : unet.leaves()) {
      leaves[preset].emplace(leaf.name, leaf);
    }
  }
  for (const Row& row : rows) {
    const auto found = leaves.at(row.preset).find(row.name);
    ASSERT_NE(found, leaves.at(row.preset).end()) << row.preset << " " << row.name;
    EXPECT_EQ(found->second.kind, row.kind) << row.name;
    EXPECT_EQ(found->second.shape, row.shape) << row.name;
    EXPECT_EQ(found->second.has_bias, row.has_bias) << row.name;
  }
  EXPECT_FALSE(leaves.at("sd15").contains("input_blocks.1.0.skip_connection"));
  EXPECT_FALSE(leaves.at("sd15").contains("label_emb.0.0"));
}

}  // namespace
}  // namespace asdm
