#include "native/format/unet_layout.h"

#include <numeric>
#include <utility>

namespace asdm {
namespace {

/// Walks the spec in checkpoint order; follows the construction order of the ldm UNet.
class Builder {
 public:
  explicit Builder(const UNetSpec& spec) : spec_(spec), channels_(spec.model_channels) {}

  UNetLayout build() {
    add_encoder();
    add_middle();
    add_decoder();
    return std::move(layout_);
  }

 private:
  BlockLayout& begin(BlockKind kind, int64_t number) {
    BlockLayout block;
    block.kind = kind;
    block.number = number;
    block.level = level_;
    block.in_channels = channels_;
    block.out_channels = channels_;
    switch (kind) {
      case BlockKind::kInput:
        block.address = "in." + std::to_string(number);
        key_ = "input_blocks." + std::to_string(number);
        break;
      case BlockKind::kMiddle:
        block.address = "mid";
        key_ = "middle_block";
        break;
      case BlockKind::kOutput:
        block.address = "out." + std::to_string(number);
        key_ = "output_blocks." + std::to_string(number);
        break;
    }
    layout_.push_back(std::move(block));
    return layout_.back();
  }

  void add(BlockLayout& block, LayerKind kind, std::string_view name, int64_t in, int64_t out) {
    LayerLayout layer;
    layer.kind = kind;
    layer.key = key_ + "." + std::to_string(block.layers.size());
    layer.address = block.address + "." + std::string(name);
    layer.in_channels = in;
    layer.out_channels = out;
    block.layers.push_back(std::move(layer));
    block.out_channels = out;
    channels_ = out;
  }

  void add_transformer(BlockLayout& block, int64_t depth) {
    add(block, LayerKind::kTransformer, "attn", channels_, channels_);
    LayerLayout& layer = block.layers.back();
    layer.transformer_blocks.resize(static_cast<size_t>(depth));
    std::iota(layer.transformer_blocks.begin(), layer.transformer_blocks.end(), int64_t{0});
    layer.transformer_index = transformers_++;
  }

  void add_encoder() {
    int64_t number = 0;
    size_t res_blocks = 0;
    BlockLayout& first = begin(BlockKind::kInput, number++);
    first.in_channels = spec_.in_channels;
    add(first, LayerKind::kConv, "conv", spec_.in_channels, spec_.model_channels);
    skip_channels_.push_back(channels_);
    for (size_t level = 0; level < spec_.channel_mult.size(); ++level) {
      for (int64_t i = 0; i < spec_.num_res_blocks[level]; ++i) {
        BlockLayout& block = begin(BlockKind::kInput, number++);
        add(block, LayerKind::kRes, "res", channels_, spec_.model_channels * spec_.channel_mult[level]);
        if (const int64_t depth = spec_.transformer_depth[res_blocks++]; depth > 0) {
          add_transformer(block, depth);
        }
        skip_channels_.push_back(channels_);
      }
      if (level + 1 < spec_.channel_mult.size()) {
        add(begin(BlockKind::kInput, number++), LayerKind::kDown, "down", channels_, channels_);
        skip_channels_.push_back(channels_);
        ++level_;
      }
    }
  }

  void add_middle() {
    BlockLayout& block = begin(BlockKind::kMiddle, 0);
    if (spec_.transformer_depth_middle >= -1) {
      add(block, LayerKind::kRes, "res0", channels_, channels_);
    }
    if (spec_.transformer_depth_middle >= 0) {
      add_transformer(block, spec_.transformer_depth_middle);
      add(block, LayerKind::kRes, "res1", channels_, channels_);
    }
  }

  void add_decoder() {
    int64_t number = 0;
    size_t depths_left = spec_.transformer_depth_output.size();
    for (size_t level = spec_.channel_mult.size(); level-- > 0;) {
      for (int64_t i = 0; i <= spec_.num_res_blocks[level]; ++i) {
        BlockLayout& block = begin(BlockKind::kOutput, number++);
        block.skip = static_cast<int64_t>(skip_channels_.size()) - 1;
        const int64_t skip = skip_channels_.back();
        skip_channels_.pop_back();
        add(block, LayerKind::kRes, "res", channels_ + skip, spec_.model_channels * spec_.channel_mult[level]);
        if (const int64_t depth = spec_.transformer_depth_output[--depths_left]; depth > 0) {
          add_transformer(block, depth);
        }
        if (level > 0 && i == spec_.num_res_blocks[level]) {
          add(block, LayerKind::kUp, "up", channels_, channels_);
          --level_;
        }
      }
    }
  }

  const UNetSpec& spec_;
  UNetLayout layout_;
  std::string key_;
  int64_t channels_;
  int64_t level_ = 0;
  int64_t transformers_ = 0;
  std::vector<int64_t> skip_channels_;
};

}  // namespace

std::string_view to_string(BlockKind kind) {
  switch (kind) {
    case BlockKind::kInput:
      return "input";
    case BlockKind::kMiddle:
      return "middle";
    case BlockKind::kOutput:
      return "output";
  }
  return "";
}

UNetLayout full_layout(const UNetSpec& spec) { return Builder(spec).build(); }

}  // namespace asdm
