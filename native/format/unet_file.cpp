#include "native/format/unet_file.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "native/base/error.h"
#include "native/format/tensor_place.h"
#include "native/format/unet_layout.h"
#include "native/format/unet_tensors.h"

namespace asdm {
namespace {

/// The UNetSpec that the file carries, in its metadata or among its tensors; empty for none.
std::string carried_spec(const SafetensorsFile& file, const std::vector<NamedTensor>& tensors) {
  if (const auto found = file.metadata().find(std::string(kSpecMetadataKey)); found != file.metadata().end()) {
    return found->second;
  }
  for (const NamedTensor& tensor : tensors) {
    if (tensor.name == kSpecTensor) {
      return file.read(*tensor.entry);
    }
  }
  return "";
}

/// The full UNet whose parts `tensors` are, told by the widths of some of them.
class Teacher {
 public:
  Teacher(const std::string& path, const std::vector<NamedTensor>& tensors, Naming naming)
      : path_(path), tensors_(tensors), ldm_(naming == Naming::kLdm) {}

  [[nodiscard]] UNetSpec spec() const {
    struct Row {
      int64_t context_dim;
      const char* preset;
    };
    constexpr std::array<Row, 4> kPresets = {{{768, "sd15"}, {1024, "sd21"}, {2048, "sdxl"}, {1280, "sdxl_refiner"}}};
    const TensorEntry* keys = ending_in("attn2.to_k.weight");
    const TensorEntry* first = named(ldm_ ? "input_blocks.0.0.weight" : "conv_in.weight");
    const TensorEntry* last = named(ldm_ ? "out.2.weight" : "conv_out.weight");
    if (keys == nullptr || keys->shape.size() != 2 || first == nullptr || first->shape.size() != 4 || last == nullptr ||
        last->shape.size() != 4) {
      throw no_unet(what_is_there());
    }
    const int64_t context_dim = keys->shape[1];
    const auto row = std::find_if(kPresets.begin(), kPresets.end(),
                                  [&](const Row& known) { return known.context_dim == context_dim; });
    if (row == kPresets.end()) {
      throw no_unet("text features of width " + std::to_string(context_dim));
    }
    UNetSpec spec = preset_spec(row->preset, first->shape[0]);
    spec.in_channels = first->shape[1];
    spec.out_channels = last->shape[0];
    if (const TensorEntry* projection = ending_in("proj_in.weight"); projection != nullptr) {
      spec.use_linear_in_transformer = projection->shape.size() == 2;
    }
    const TensorEntry* label = named(ldm_ ? "label_emb.0.0.weight" : "add_embedding.linear_1.weight");
    if (label == nullptr && !ldm_) {
      label = named("class_embedding.linear_1.weight");
    }
    spec.adm_in_channels = label == nullptr || label->shape.size() != 2 ? 0 : label->shape[1];
    return spec;
  }

 private:
  [[nodiscard]] Error no_unet(const std::string& got) const {
    return invalid_input(path_, "the UNet of " + join(family_titles()) + ", whole or without some of its parts", got);
  }

  /// For the message: what a file has in which no UNet was found.
  [[nodiscard]] std::string what_is_there() const {
    for (const NamedTensor& tensor : tensors_) {
      if (const auto prefix = prefix_of(tensor.name); prefix && !prefix->empty()) {
        return "a first convolution under the unknown prefix '" + std::string(*prefix) + "'";
      }
    }
    return "no tensors of one, or not its first and last convolution and a cross-attention";
  }

  [[nodiscard]] const TensorEntry* named(std::string_view name) const {
    const auto found =
        std::find_if(tensors_.begin(), tensors_.end(), [&](const NamedTensor& tensor) { return tensor.name == name; });
    return found == tensors_.end() ? nullptr : found->entry;
  }

  [[nodiscard]] const TensorEntry* ending_in(std::string_view end) const {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                    [&](const NamedTensor& tensor) { return tensor.name.ends_with(end); });
    return found == tensors_.end() ? nullptr : found->entry;
  }

  const std::string& path_;
  const std::vector<NamedTensor>& tensors_;
  bool ldm_;
};

bool has_gap(const std::set<int64_t>& numbers) {
  return !numbers.empty() && (*numbers.begin() != 0 || *numbers.rbegin() + 1 != static_cast<int64_t>(numbers.size()));
}

/// A block of the file: its numbers there, and where it stands by level.
struct Spot {
  int64_t level = 0;
  int64_t index = 0;  ///< among the ResBlocks of its level on its way; -1 for a Downsample of its own
};

/// Finds the layer of the full UNet for each place in the file.
class Alignment {
 public:
  Alignment(const UNetLayout& full, const std::vector<TensorPlace>& places, Naming naming)
      : full_(full), naming_(naming) {
    for (const TensorPlace& place : places) {
      if (place.kind == BlockKind::kMiddle) {
        if (place.layer == LayerKind::kRes) {
          middle_res_.insert(place.index);
        }
        continue;
      }
      Way& way = way_of(place.kind);
      way.blocks.insert(place.block);
      if (place.layer == LayerKind::kRes) {
        way.res_blocks[place.block].insert(place.index);
      } else if (place.layer == LayerKind::kDown || place.layer == LayerKind::kUp) {
        way.resampling.insert(place.block);
      }
    }
    gaps_ = has_gap(encoder_.blocks) || has_gap(decoder_.blocks);
    for (const Way* way : {&encoder_, &decoder_}) {
      for (const auto& [block, indices] : way->res_blocks) {
        gaps_ = gaps_ || (naming_ == Naming::kDiffusers && has_gap(indices));
      }
    }
    levels_ = gaps_ ? 1 + std::max_element(full_.begin(), full_.end(), by_level)->level : levels_in_file();
    if (naming_ == Naming::kLdm && !gaps_) {
      walk_ldm();
    }
  }

  /// The layer of the full UNet at `place`; null where it has none.
  [[nodiscard]] const LayerLayout* layer_at(const TensorPlace& place) const {
    const BlockLayout* block = block_at(place);
    if (block == nullptr) {
      return nullptr;
    }
    int64_t ordinal = 0;
    if (place.kind == BlockKind::kMiddle && place.layer == LayerKind::kRes) {
      // A middle without its transformer may have closed the gap.
      ordinal = place.index == *middle_res_.begin() && place.index < 2 ? 0 : 1;
    }
    for (const LayerLayout& layer : block->layers) {
      if (layer.kind == place.layer && ordinal-- == 0) {
        return &layer;
      }
    }
    return nullptr;
  }

 private:
  struct Way {
    std::set<int64_t> blocks;
    std::map<int64_t, std::set<int64_t>> res_blocks;  ///< by block: the indices of those in it
    std::set<int64_t> resampling;                     ///< blocks with a Downsample or Upsample
    std::map<int64_t, Spot> spots;                    ///< by number, of ldm blocks that were numbered anew
    std::map<int64_t, int64_t> per_level;             ///< ResBlocks in each level
  };

  static bool by_level(const BlockLayout& a, const BlockLayout& b) { return a.level < b.level; }

  Way& way_of(BlockKind kind) { return kind == BlockKind::kInput ? encoder_ : decoder_; }
  [[nodiscard]] const Way& way_of(BlockKind kind) const { return kind == BlockKind::kInput ? encoder_ : decoder_; }

  [[nodiscard]] int64_t levels_in_file() const {
    return static_cast<int64_t>(naming_ == Naming::kLdm ? encoder_.resampling.size() + 1 : encoder_.blocks.size());
  }

  /// Gives every ldm block its level: a Downsample ends one on the way down, an Upsample on the way up.
  void walk_ldm() {
    Spot spot;
    for (const int64_t number : encoder_.blocks) {
      if (encoder_.resampling.contains(number)) {
        encoder_.spots[number] = {spot.level, -1};
        spot = {spot.level + 1, 0};
      } else if (number > 0) {
        encoder_.per_level[spot.level] = spot.index + 1;
        encoder_.spots[number] = spot;
        ++spot.index;
      }
    }
    spot = {levels_ - 1, 0};
    for (const int64_t number : decoder_.blocks) {
      decoder_.spots[number] = spot;
      decoder_.per_level[spot.level] = ++spot.index;
      if (decoder_.resampling.contains(number)) {
        spot = {spot.level - 1, 0};
      }
    }
  }

  [[nodiscard]] const BlockLayout* block_at(const TensorPlace& place) const {
    if (place.kind == BlockKind::kMiddle || (naming_ == Naming::kLdm && gaps_)) {
      return find([&](const BlockLayout& block) { return block.kind == place.kind && block.number == place.block; });
    }
    const Way& way = way_of(place.kind);
    if (naming_ == Naming::kLdm) {
      const auto found = way.spots.find(place.block);
      return found == way.spots.end() ? nullptr : block_at(place.kind, found->second, way.per_level);
    }
    const int64_t level = place.kind == BlockKind::kInput ? place.block : levels_ - 1 - place.block;
    const auto res_blocks = way.res_blocks.find(place.block);
    if (res_blocks == way.res_blocks.end()) {
      return nullptr;
    }
    Spot spot{level, place.index};
    if (place.layer == LayerKind::kDown) {
      spot.index = -1;
    } else if (place.layer == LayerKind::kUp) {
      spot.index = *res_blocks->second.rbegin();
    }
    return block_at(place.kind, spot, {{level, static_cast<int64_t>(res_blocks->second.size())}});
  }

  /// The full UNet's block at `spot`, of which its file has `per_level` in each level.
  [[nodiscard]] const BlockLayout* block_at(BlockKind kind, Spot spot,
                                            const std::map<int64_t, int64_t>& per_level) const {
    std::vector<const BlockLayout*> res_blocks;
    for (const BlockLayout& block : full_) {
      if (block.kind != kind || block.level != spot.level) {
        continue;
      }
      if (block.layers.front().kind == LayerKind::kRes) {
        res_blocks.push_back(&block);
      } else if (block.layers.front().kind == LayerKind::kDown && spot.index == -1) {
        return &block;
      }
    }
    const auto count = static_cast<int64_t>(res_blocks.size());
    if (kind == BlockKind::kOutput && !gaps_ && spot.index + 1 == per_level.at(spot.level)) {
      spot.index = std::max(spot.index, count - 1);
    }
    return spot.index < 0 || spot.index >= count ? nullptr : res_blocks[static_cast<size_t>(spot.index)];
  }

  template <class Test>
  [[nodiscard]] const BlockLayout* find(Test test) const {
    const auto found = std::find_if(full_.begin(), full_.end(), test);
    return found == full_.end() ? nullptr : &*found;
  }

  const UNetLayout& full_;
  Naming naming_;
  Way encoder_;
  Way decoder_;
  std::set<int64_t> middle_res_;
  bool gaps_ = false;   ///< blocks are missing in the numbering, so that it is the full UNet's
  int64_t levels_ = 1;  ///< of the numbering
};

/// All parts of `full` that are not among `present`.
std::vector<std::string> absent(const UNetLayout& full, const std::set<std::string>& present) {
  std::vector<std::string> parts;
  for (const BlockLayout& block : full) {
    for (const LayerLayout& layer : block.layers) {
      if (!present.contains(layer.address) && layer.kind != LayerKind::kConv) {
        parts.push_back(layer.address);
        continue;
      }
      for (const int64_t number : layer.transformer_blocks) {
        if (std::string part = layer.address + "." + std::to_string(number); !present.contains(part)) {
          parts.push_back(std::move(part));
        }
      }
    }
  }
  return parts;
}

UNetFile aligned(const SafetensorsFile& file, const std::vector<NamedTensor>& tensors) {
  const bool diffusers = std::any_of(tensors.begin(), tensors.end(),
                                     [](const NamedTensor& tensor) { return tensor.name == "conv_in.weight"; });
  const Naming naming = diffusers ? Naming::kDiffusers : Naming::kLdm;
  UNetFile result;
  result.spec = Teacher(file.path(), tensors, naming).spec();
  const UNetLayout full = full_layout(result.spec);
  std::vector<TensorPlace> places;
  for (const NamedTensor& tensor : tensors) {
    if (std::optional<TensorPlace> place = place_of(tensor.name, naming)) {
      places.push_back(std::move(*place));
    }
  }
  const Alignment alignment(full, places, naming);
  std::set<std::string> present;
  for (const NamedTensor& tensor : tensors) {
    const std::optional<TensorPlace> place = place_of(tensor.name, naming);
    const LayerLayout* layer = place ? alignment.layer_at(*place) : nullptr;
    std::string name = tensor.name;
    if (layer != nullptr) {
      name = layer->key + "." + place->rest;
      present.insert(layer->address);
      if (place->transformer_block >= 0) {
        present.insert(layer->address + "." + std::to_string(place->transformer_block));
      }
    } else if (std::string outer = diffusers ? outer_name(name) : ""; !outer.empty()) {
      name = std::move(outer);
    }
    const auto [known, is_new] = result.names.emplace(name, tensor.entry->name);
    if (!is_new) {
      throw invalid_input(file.path(), "one tensor for " + name, known->second + " and " + tensor.entry->name);
    }
  }
  result.spec = without(result.spec, absent(full, present));
  return result;
}

}  // namespace

UNetFile read_unet_file(const SafetensorsFile& file) {
  const std::vector<NamedTensor> tensors = unet_tensors(file);
  const std::string carried = carried_spec(file, tensors);
  try {
    if (carried.empty()) {
      return aligned(file, tensors);
    }
    UNetFile own{.spec = spec_from_json(carried), .carries_spec = true, .names = {}};
    for (const NamedTensor& tensor : tensors) {
      if (tensor.name != kSpecTensor) {
        own.names.emplace(tensor.name, tensor.entry->name);
      }
    }
    return own;
  } catch (const Error& error) {
    if (error.where() == file.path()) {
      throw;
    }
    throw invalid_input(
        file.path(), carried.empty() ? "the parts of a Stable Diffusion UNet" : "a valid UNetSpec in it", error.what());
  }
}

}  // namespace asdm
