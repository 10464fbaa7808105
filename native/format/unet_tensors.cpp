#include "native/format/unet_tensors.h"

#include <algorithm>
#include <array>
#include <map>

#include "native/base/error.h"
#include "native/base/log.h"

namespace asdm {
namespace {

/// What files of people have before the names of a UNet's tensors, in any order, and some of it twice.
constexpr std::array<std::string_view, 7> kPrefixes = {"model.",  "diffusion_model.", "unet.",           "net.",
                                                       "module.", "_orig_mod.",       "_forward_module."};
/// The first convolution, by ldm and by diffusers.
constexpr std::array<std::string_view, 2> kFirst = {"input_blocks.0.0.weight", "conv_in.weight"};
/// What training leaves beside a UNet, and other models of a checkpoint: how the names begin.
constexpr std::array<std::string_view, 25> kLeftOut = {"model_ema.",
                                                       "ema.",
                                                       "ema_model.",
                                                       "optimizer",
                                                       "lr_scheduler",
                                                       "scheduler.",
                                                       "state.",
                                                       "param_groups",
                                                       "global_step",
                                                       "epoch",
                                                       "betas",
                                                       "alphas_cumprod",
                                                       "sqrt_",
                                                       "log_one_",
                                                       "posterior_",
                                                       "lvlb_weights",
                                                       "logvar",
                                                       "scale_factor",
                                                       "denoiser.",
                                                       "first_stage_model.",
                                                       "cond_stage_model.",
                                                       "conditioner.",
                                                       "text_encoder",
                                                       "vae.",
                                                       "time_embedding.cond_proj."};
constexpr size_t kMaxPrefixes = 16;  // of one file
constexpr size_t kMaxNamed = 10;

/// What the host writes beside a UNet to say how it is sampled.
bool is_sampling_mark(std::string_view name) { return name == "v_pred" || name == "ztsnr" || name.starts_with("edm_"); }

bool is_known_prefix(std::string_view prefix) {
  while (!prefix.empty()) {
    const auto part = std::find_if(kPrefixes.begin(), kPrefixes.end(),
                                   [&](std::string_view known) { return prefix.starts_with(known); });
    if (part == kPrefixes.end()) {
      return false;
    }
    prefix.remove_prefix(part->size());
  }
  return true;
}

/// The prefix of the UNet's tensors: the known one that most tensors have.
std::string_view unet_prefix(const SafetensorsFile& file) {
  std::map<std::string_view, int64_t> counts;
  for (const TensorEntry& entry : file.tensors()) {
    const auto prefix = prefix_of(entry.name);
    if (prefix && is_known_prefix(*prefix) && counts.size() < kMaxPrefixes) {
      counts.emplace(*prefix, 0);
    }
  }
  for (const TensorEntry& entry : file.tensors()) {
    for (auto& [prefix, count] : counts) {
      count += entry.name.starts_with(prefix) ? 1 : 0;
    }
  }
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == counts.end() ? "" : most->first;
}

}  // namespace

std::optional<std::string_view> prefix_of(std::string_view name) {
  for (const std::string_view first : kFirst) {
    if (name == first || name.ends_with("." + std::string(first))) {
      return name.substr(0, name.size() - first.size());
    }
  }
  return std::nullopt;
}

std::vector<NamedTensor> unet_tensors(const SafetensorsFile& file) {
  const std::string_view prefix = unet_prefix(file);
  std::vector<NamedTensor> tensors;
  std::vector<std::string> left_out;
  for (const TensorEntry& entry : file.tensors()) {
    const std::string_view name = std::string_view(entry.name).substr(std::min(prefix.size(), entry.name.size()));
    if (!entry.name.starts_with(prefix) || is_sampling_mark(name)) {
      continue;
    }
    if (std::any_of(kLeftOut.begin(), kLeftOut.end(),
                    [&](std::string_view start) { return name.starts_with(start); })) {
      left_out.push_back(entry.name);
    } else {
      tensors.push_back({std::string(name), &entry});
    }
  }
  if (!left_out.empty()) {
    const size_t more = left_out.size() - std::min(left_out.size(), kMaxNamed);
    left_out.resize(left_out.size() - more);
    log::warning(file.path() + ": left out what no UNet has: " + join(left_out) +
                 (more == 0 ? "" : " and " + std::to_string(more) + " more"));
  }
  return tensors;
}

}  // namespace asdm
