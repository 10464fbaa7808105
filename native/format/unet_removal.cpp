// What is left of a UNet without some of its parts, and whether it still is one.
#include <algorithm>
#include <set>

#include "native/base/error.h"
#include "native/format/me_cond_conv_sites.h"
#include "native/format/unet_layout.h"

namespace asdm {
namespace {

constexpr std::string_view kRemovedField = "UNetSpec.removed";

using Addresses = std::set<std::string>;

std::string part_of(const LayerLayout& layer, int64_t transformer_block) {
  return layer.address + "." + std::to_string(transformer_block);
}

/// The largest parts of `full` that together make up everything `addresses` name, in evaluation order, so that the
/// same UNet is always written the same way.
std::vector<std::string> in_whole_parts(const UNetLayout& full, const Addresses& addresses) {
  std::vector<std::string> parts;
  for (const BlockLayout& block : full) {
    std::vector<std::string> inside;
    size_t whole_layers = 0;
    for (const LayerLayout& layer : block.layers) {
      std::vector<std::string> gone;
      for (const int64_t number : layer.transformer_blocks) {
        if (addresses.contains(part_of(layer, number))) {
          gone.push_back(part_of(layer, number));
        }
      }
      const bool all_gone = !gone.empty() && gone.size() == layer.transformer_blocks.size();
      if (addresses.contains(layer.address) || all_gone) {
        gone = {layer.address};
        ++whole_layers;
      }
      inside.insert(inside.end(), gone.begin(), gone.end());
    }
    if (addresses.contains(block.address) || (whole_layers > 0 && whole_layers == block.layers.size())) {
      inside = {block.address};
    }
    parts.insert(parts.end(), inside.begin(), inside.end());
  }
  return parts;
}

void check_known(const UNetLayout& full, const std::vector<std::string>& addresses) {
  Addresses known;
  std::vector<std::string> shown;
  std::string layer_shown;
  std::string transformer_block_shown;
  for (const BlockLayout& block : full) {
    if (block.layers.empty()) {
      continue;
    }
    known.insert(block.address);
    shown.push_back(block.address);
    for (const LayerLayout& layer : block.layers) {
      known.insert(layer.address);
      layer_shown = layer.address;
      for (const int64_t number : layer.transformer_blocks) {
        transformer_block_shown = part_of(layer, number);
        known.insert(transformer_block_shown);
      }
    }
  }
  shown.push_back("layers such as " + layer_shown);
  if (!transformer_block_shown.empty()) {
    shown.push_back("transformer blocks such as " + transformer_block_shown);
  }
  for (const std::string& address : addresses) {
    if (!known.contains(address)) {
      throw unknown_name(kRemovedField, address, shown);
    }
  }
}

UNetLayout what_is_left(const UNetLayout& full, const Addresses& removed) {
  UNetLayout left;
  for (const BlockLayout& block : full) {
    if (removed.contains(block.address)) {
      continue;
    }
    BlockLayout kept = block;
    std::erase_if(kept.layers, [&](const LayerLayout& layer) { return removed.contains(layer.address); });
    for (LayerLayout& layer : kept.layers) {
      std::erase_if(layer.transformer_blocks, [&](int64_t number) { return removed.contains(part_of(layer, number)); });
    }
    left.push_back(std::move(kept));
  }
  return left;
}

std::string list_of(const std::vector<const BlockLayout*>& blocks) {
  std::vector<std::string> addresses;
  for (const BlockLayout* block : blocks) {
    addresses.push_back(block->address);
  }
  return addresses.empty() ? "none" : join(addresses);
}

int64_t level_behind(const BlockLayout& block) {
  int64_t level = block.level;
  for (const LayerLayout& layer : block.layers) {
    level += layer.kind == LayerKind::kDown ? 1 : layer.kind == LayerKind::kUp ? -1 : 0;
  }
  return level;
}

/// Whether `block` of the decoder takes a skip: its ResBlock does.
bool takes_skip(const BlockLayout& block) {
  return block.kind == BlockKind::kOutput && !block.layers.empty() && block.layers.front().kind == LayerKind::kRes;
}

/// Pairs each decoder block with the last skip that is not taken yet. Each level must have as many of the one as of the
/// other: otherwise a skip of one size would meet a trunk of another.
void pair_skips(const UNetLayout& full, UNetLayout& left) {
  int64_t levels = 0;
  for (const BlockLayout& block : full) {
    levels = std::max(levels, block.level + 1);
  }
  for (int64_t level = 0; level < levels; ++level) {
    std::vector<const BlockLayout*> skips;
    std::vector<BlockLayout*> takers;
    std::vector<const BlockLayout*> names;
    for (BlockLayout& block : left) {
      if (block.kind == BlockKind::kInput && level_behind(block) == level) {
        skips.push_back(&block);
      } else if (block.kind == BlockKind::kOutput && block.level == level) {
        if (!takes_skip(block)) {
          throw invalid_input(kRemovedField, "decoder blocks whole, or with the ResBlock that takes their skip",
                              block.address + ".res alone, so that the skip of in." + std::to_string(block.skip) +
                                  " lost its consumer");
        }
        takers.push_back(&block);
        names.push_back(&block);
      }
    }
    if (skips.size() != takers.size()) {
      std::string fault;
      const bool orphans = skips.size() > takers.size();
      for (const BlockLayout& block : full) {
        if (block.kind != BlockKind::kOutput || block.level != level) {
          continue;
        }
        const bool taker_left = std::find_if(names.begin(), names.end(), [&](const BlockLayout* name) {
                                  return name->number == block.number;
                                }) != names.end();
        const std::string skip = "in." + std::to_string(block.skip);
        const bool skip_left = std::find_if(skips.begin(), skips.end(), [&](const BlockLayout* name) {
                                 return name->address == skip;
                               }) != skips.end();
        if (orphans ? skip_left && !taker_left : taker_left && !skip_left) {
          fault +=
              (fault.empty() ? "" : "; ") + (orphans ? "the skip of " + skip + " lost its consumer " + block.address
                                                     : block.address + " lost its skip, that of " + skip);
        }
      }
      throw invalid_input(kRemovedField, "as many encoder as decoder blocks at each resolution",
                          "encoder " + list_of(skips) + " and decoder " + list_of(names) + " at 1/" +
                              std::to_string(int64_t{1} << level) + " of the latent: " + fault);
    }
    for (size_t i = 0; i < takers.size(); ++i) {
      takers[i]->skip = skips[skips.size() - 1 - i]->number;
    }
  }
}

/// Walks the trunk: each layer must get what its weights were made for.
void check_trunk(const UNetSpec& spec, const UNetLayout& left) {
  int64_t channels = spec.in_channels;
  int64_t level = 0;
  std::string before = "the latent";
  std::vector<int64_t> skips(left.size());
  const auto refuse = [&](const std::string& what, const std::string& expected, const std::string& got) {
    return invalid_input(kRemovedField, expected + " before " + what, got + " from " + before);
  };
  for (const BlockLayout& block : left) {
    if (block.layers.empty()) {
      continue;  // a middle that the full UNet has none of
    }
    if (block.level != level) {
      throw refuse(block.address, "1/" + std::to_string(int64_t{1} << block.level) + " of the latent's resolution",
                   "1/" + std::to_string(int64_t{1} << level));
    }
    for (size_t i = 0; i < block.layers.size(); ++i) {
      const LayerLayout& layer = block.layers[i];
      const int64_t skip = block.skip >= 0 && i == 0 ? skips[static_cast<size_t>(block.skip)] : 0;
      if (channels + skip != layer.in_channels) {
        throw refuse(layer.address,
                     std::to_string(layer.in_channels) + " channels" + (skip > 0 ? " with those of its skip" : ""),
                     std::to_string(channels + skip));
      }
      channels = layer.out_channels;
      before = layer.address;
    }
    level = level_behind(block);
    if (block.kind == BlockKind::kInput) {
      skips.resize(std::max(skips.size(), static_cast<size_t>(block.number) + 1));
      skips[static_cast<size_t>(block.number)] = channels;
    }
  }
  if (channels != spec.model_channels || level != 0) {
    throw refuse("the end", std::to_string(spec.model_channels) + " channels at the latent's resolution",
                 std::to_string(channels) + " at 1/" + std::to_string(int64_t{1} << level));
  }
}

}  // namespace

UNetLayout make_layout(const UNetSpec& spec) {
  UNetLayout full = full_layout(spec);
  if (spec.removed.empty()) {
    return full;
  }
  check_known(full, spec.removed);
  const std::vector<std::string> parts = in_whole_parts(full, {spec.removed.begin(), spec.removed.end()});
  if (parts != spec.removed) {
    throw invalid_input(kRemovedField, "whole parts in evaluation order: " + join(parts), join(spec.removed));
  }
  UNetLayout left = what_is_left(full, {parts.begin(), parts.end()});
  pair_skips(full, left);
  check_trunk(spec, left);
  return left;
}

UNetSpec without(const UNetSpec& spec, const std::vector<std::string>& addresses) {
  const UNetLayout full = full_layout(spec);
  check_known(full, addresses);
  Addresses all(spec.removed.begin(), spec.removed.end());
  all.insert(addresses.begin(), addresses.end());
  UNetSpec smaller = spec;
  smaller.removed = in_whole_parts(full, all);
  const std::vector<std::string> left = addresses_of(res_sites(make_layout(smaller)));
  std::erase_if(smaller.me_cond_conv, [&](const MECondConvSite& site) {
    return std::find(left.begin(), left.end(), site.site) == left.end();
  });
  smaller.validate();
  return smaller;
}

}  // namespace asdm
