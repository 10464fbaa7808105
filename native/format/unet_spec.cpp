#include "native/format/unet_spec.h"

#include <numeric>

#include "native/base/error.h"
#include "native/format/me_cond_conv_sites.h"
#include "native/format/unet_layout.h"

namespace asdm {
namespace {

// Bounds that no UNet reaches: specs come from files, and products of their fields must not overflow.
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxLevels = 16;
constexpr int64_t kMaxPerLevel = 64;
constexpr int64_t kMaxResBlocks = 128;           // of the encoder
constexpr int64_t kMaxTransformerBlocks = 1024;  // SDXL has 70
constexpr int64_t kGroupNormGroups = 32;

std::string field(std::string_view name) { return "UNetSpec." + std::string(name); }

std::string element(std::string_view name, size_t index) { return field(name) + "[" + std::to_string(index) + "]"; }

void check_range(const std::string& where, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    throw invalid_input(where, std::to_string(low) + " to " + std::to_string(high), std::to_string(value));
  }
}

void check_list(std::string_view name, const std::vector<int64_t>& values, int64_t expected_size,
                std::string_view size_reason, int64_t low, int64_t high) {
  if (static_cast<int64_t>(values.size()) != expected_size) {
    throw invalid_input(field(name), std::to_string(expected_size) + " entries (" + std::string(size_reason) + ")",
                        std::to_string(values.size()) + " entries");
  }
  for (size_t i = 0; i < values.size(); ++i) {
    check_range(element(name, i), values[i], low, high);
  }
}

/// One transformer's width must divide into whole heads.
void check_heads(const UNetSpec& spec, int64_t channels, const std::string& transformer) {
  const bool by_count = spec.num_head_channels == -1;
  const int64_t divisor = by_count ? spec.num_heads : spec.num_head_channels;
  if (channels % divisor != 0) {
    throw invalid_input(field(by_count ? "num_heads" : "num_head_channels"),
                        "a divisor of " + std::to_string(channels) + ", the width of the transformer at " + transformer,
                        std::to_string(divisor));
  }
}

void check_scalars(const UNetSpec& spec) {
  check_range(field("in_channels"), spec.in_channels, 1, kMaxWidth);
  check_range(field("out_channels"), spec.out_channels, 1, kMaxWidth);
  check_range(field("model_channels"), spec.model_channels, kGroupNormGroups, kMaxWidth);
  if (spec.model_channels % kGroupNormGroups != 0) {
    throw invalid_input(field("model_channels"), "a multiple of 32 (GroupNorm has 32 groups)",
                        std::to_string(spec.model_channels));
  }
  check_range(field("transformer_depth_middle"), spec.transformer_depth_middle, -2, kMaxPerLevel);
  check_range(field("context_dim"), spec.context_dim, 1, kMaxWidth);
  check_range(field("adm_in_channels"), spec.adm_in_channels, 0, kMaxWidth);
  if (spec.num_head_channels != -1) {
    check_range(field("num_head_channels"), spec.num_head_channels, 1, kMaxWidth);
  } else {
    check_range(field("num_heads"), spec.num_heads, 1, kMaxWidth);
  }
}

void check_lists(const UNetSpec& spec) {
  const auto levels = static_cast<int64_t>(spec.channel_mult.size());
  if (levels < 1 || levels > kMaxLevels) {
    throw invalid_input(field("channel_mult"), "1 to " + std::to_string(kMaxLevels) + " levels",
                        std::to_string(levels) + " levels");
  }
  check_list("channel_mult", spec.channel_mult, levels, "one per level", 1, kMaxPerLevel);
  check_list("num_res_blocks", spec.num_res_blocks, levels, "one per level of channel_mult", 1, kMaxPerLevel);
  const auto sum = [](const std::vector<int64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), int64_t{0});
  };
  const int64_t encoder = sum(spec.num_res_blocks);
  check_range("the sum of " + field("num_res_blocks"), encoder, 1, kMaxResBlocks);
  check_list("transformer_depth", spec.transformer_depth, encoder, "one per encoder ResBlock", 0, kMaxPerLevel);
  check_list("transformer_depth_output", spec.transformer_depth_output, encoder + levels,
             "one per decoder ResBlock: num_res_blocks + 1 in each level", 0, kMaxPerLevel);
  check_range("the transformer blocks of UNetSpec",
              sum(spec.transformer_depth) + sum(spec.transformer_depth_output) + spec.transformer_depth_middle, -2,
              kMaxTransformerBlocks);
}

void check_transformers(const UNetSpec& spec) {
  // transformer_depth_output is consumed from its end while the decoder climbs up, so that read forwards it runs
  // from level 0 down, as the encoder's list does.
  size_t encoder = 0;
  size_t decoder = 0;
  for (size_t level = 0; level < spec.channel_mult.size(); ++level) {
    const int64_t channels = spec.model_channels * spec.channel_mult[level];
    for (int64_t i = 0; i < spec.num_res_blocks[level]; ++i, ++encoder) {
      if (spec.transformer_depth[encoder] > 0) {
        check_heads(spec, channels, "transformer_depth[" + std::to_string(encoder) + "]");
      }
    }
    for (int64_t i = 0; i <= spec.num_res_blocks[level]; ++i, ++decoder) {
      if (spec.transformer_depth_output[decoder] > 0) {
        check_heads(spec, channels, "transformer_depth_output[" + std::to_string(decoder) + "]");
      }
    }
  }
  if (spec.transformer_depth_middle >= 0) {
    check_heads(spec, spec.model_channels * spec.channel_mult.back(), "the middle block");
  }
}

}  // namespace

void UNetSpec::validate() const {
  check_scalars(*this);
  check_lists(*this);
  check_transformers(*this);
  if (!removed.empty()) {
    (void)make_layout(*this);
  }
  check_me_cond_conv(*this);
}

std::string_view to_string(Family family) {
  switch (family) {
    case Family::kSD1:
      return "sd1";
    case Family::kSD2:
      return "sd2";
    case Family::kSDXL:
      return "sdxl";
    case Family::kSDXLRefiner:
      return "sdxl_refiner";
  }
  throw internal_fault("UNetSpec.family", "an enumerator without a name");
}

std::string_view to_string(Prediction prediction) {
  switch (prediction) {
    case Prediction::kEpsilon:
      return "eps";
    case Prediction::kVelocity:
      return "v";
  }
  throw internal_fault("UNetSpec.prediction", "an enumerator without a name");
}

std::vector<std::string> family_titles() { return {"SD1.x", "SD2.x", "SDXL", "SDXL refiner"}; }

}  // namespace asdm
