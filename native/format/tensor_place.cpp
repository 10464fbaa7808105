#include "native/format/tensor_place.h"

#include <array>
#include <charconv>
#include <span>
#include <utility>

namespace asdm {
namespace {

using Renaming = std::pair<std::string_view, std::string_view>;

constexpr std::array<Renaming, 9> kOuter = {{{"conv_in.", "input_blocks.0.0."},
                                             {"time_embedding.linear_1.", "time_embed.0."},
                                             {"time_embedding.linear_2.", "time_embed.2."},
                                             {"add_embedding.linear_1.", "label_emb.0.0."},
                                             {"add_embedding.linear_2.", "label_emb.0.2."},
                                             {"conv_norm_out.", "out.0."},
                                             {"conv_out.", "out.2."},
                                             {"class_embedding.linear_1.", "label_emb.0.0."},
                                             {"class_embedding.linear_2.", "label_emb.0.2."}}};
constexpr std::array<Renaming, 6> kResBlock = {{{"norm1.", "in_layers.0."},
                                                {"conv1.", "in_layers.2."},
                                                {"time_emb_proj.", "emb_layers.1."},
                                                {"norm2.", "out_layers.0."},
                                                {"conv2.", "out_layers.3."},
                                                {"conv_shortcut.", "skip_connection."}}};

/// `name` under the ldm prefix; empty where the table has none.
std::string renamed(std::string_view name, std::span<const Renaming> table) {
  for (const auto& [from, to] : table) {
    if (name.starts_with(from)) {
      return std::string(to) + std::string(name.substr(from.size()));
    }
  }
  return "";
}

/// "12" at the start of `text`, which loses it and the dot behind; -1 for anything else.
int64_t take_number(std::string_view& text) {
  int64_t number = -1;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<size_t>(end - text.data());
  if (fault != std::errc{} || number < 0 || length >= text.size() || text[length] != '.') {
    return -1;
  }
  text.remove_prefix(length + 1);
  return number;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) {
    return false;
  }
  text.remove_prefix(prefix.size());
  return true;
}

int64_t transformer_block_of(std::string_view rest) {
  return take(rest, "transformer_blocks.") ? take_number(rest) : -1;
}

/// The kind of the layer that has a tensor `rest`.
std::optional<LayerKind> kind_of(std::string_view rest) {
  constexpr std::array<std::pair<std::string_view, LayerKind>, 12> kKinds = {{
      {"in_layers.", LayerKind::kRes},
      {"emb_layers.", LayerKind::kRes},
      {"out_layers.", LayerKind::kRes},
      {"skip_connection.", LayerKind::kRes},
      {"norm.", LayerKind::kTransformer},
      {"proj_in.", LayerKind::kTransformer},
      {"transformer_blocks.", LayerKind::kTransformer},
      {"proj_out.", LayerKind::kTransformer},
      {"op.", LayerKind::kDown},
      {"conv.", LayerKind::kUp},
      {"weight", LayerKind::kConv},
      {"bias", LayerKind::kConv},
  }};
  for (const auto& [prefix, kind] : kKinds) {
    if (rest.starts_with(prefix)) {
      return kind;
    }
  }
  return std::nullopt;
}

std::optional<TensorPlace> ldm_place(std::string_view name) {
  TensorPlace place;
  if (take(name, "middle_block.")) {
    place.kind = BlockKind::kMiddle;
  } else {
    const bool input = take(name, "input_blocks.");
    if (!input && !take(name, "output_blocks.")) {
      return std::nullopt;
    }
    place.kind = input ? BlockKind::kInput : BlockKind::kOutput;
    place.block = take_number(name);
  }
  place.index = take_number(name);
  const std::optional<LayerKind> kind = kind_of(name);
  if (place.block < 0 || place.index < 0 || !kind) {
    return std::nullopt;
  }
  place.layer = *kind;
  place.rest = std::string(name);
  place.transformer_block = transformer_block_of(name);
  return place;
}

std::optional<TensorPlace> diffusers_place(std::string_view name) {
  TensorPlace place;
  if (take(name, "mid_block.")) {
    place.kind = BlockKind::kMiddle;
  } else {
    const bool down = take(name, "down_blocks.");
    if (!down && !take(name, "up_blocks.")) {
      return std::nullopt;
    }
    place.kind = down ? BlockKind::kInput : BlockKind::kOutput;
    place.block = take_number(name);
  }
  if (take(name, "resnets.")) {
    place.index = take_number(name);
    place.rest = renamed(name, kResBlock);
  } else if (take(name, "attentions.")) {
    place.layer = LayerKind::kTransformer;
    place.index = take_number(name);
    place.rest = std::string(name);
  } else if (take(name, "downsamplers.0.conv.")) {
    place.layer = LayerKind::kDown;
    place.rest = "op." + std::string(name);
  } else if (take(name, "upsamplers.0.conv.")) {
    place.layer = LayerKind::kUp;
    place.rest = "conv." + std::string(name);
  }
  if (place.block < 0 || place.index < 0 || place.rest.empty()) {
    return std::nullopt;
  }
  place.transformer_block = transformer_block_of(place.rest);
  return place;
}

}  // namespace

std::optional<TensorPlace> place_of(std::string_view name, Naming naming) {
  return naming == Naming::kLdm ? ldm_place(name) : diffusers_place(name);
}

std::string outer_name(std::string_view diffusers_name) { return renamed(diffusers_name, kOuter); }

}  // namespace asdm
