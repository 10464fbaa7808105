// A sampler around a small UNet, whose every step builds on the last: what differs once differs to the end.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/native/tiny_unet.h"

namespace asdm::testing {

/// How the host cuts an evaluation into calls.
enum class Batching {
  kTogether,  ///< uncond and cond in one call
  kApart,     ///< cond, then uncond
  kFlipping,  ///< now together, now apart
  kCondAlone  ///< a guidance scale of 1
};

struct Sampler {
  bool heun = false;  ///< two evaluations in each step but the last
  Batching batching = Batching::kTogether;
  int64_t height = 8;
  int64_t width = 8;
  int64_t evaluations = 0;  ///< made so far

  /// The latent at the end of `run` over `sigmas`.
  at::Tensor sample(TinyUNet& tiny, Run& run, const std::vector<double>& sigmas, uint64_t seed = 1) {
    const at::Tensor context = noise({2, 5, tiny.unet.spec().context_dim}, seed + 1);
    at::Tensor x = noise({1, 4, height, width}, seed) * sigmas.front();
    for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
      const double step = sigmas[i + 1] - sigmas[i];
      const at::Tensor slope = denoise(tiny, run, x, sigmas[i], context);
      at::Tensor next = x + slope * step;
      if (heun && sigmas[i + 1] > 0.0) {
        next = x + (slope + denoise(tiny, run, next, sigmas[i + 1], context)) * (step / 2.0);
      }
      x = next;
    }
    return x;
  }

 private:
  /// The noise prediction with guidance.
  at::Tensor denoise(TinyUNet& tiny, Run& run, const at::Tensor& x, double sigma, const at::Tensor& context) {
    const at::Tensor scaled = x / std::sqrt(sigma * sigma + 1.0);
    run.begin_evaluation(sigma, number(run.measure(scaled)));
    const bool apart = batching == Batching::kApart || batching == Batching::kCondAlone ||
                       (batching == Batching::kFlipping && evaluations % 2 == 1);
    ++evaluations;
    const auto inputs = [&](const at::Tensor& rows) {
      ForwardInputs made;
      made.x = scaled.repeat({rows.size(0), 1, 1, 1});
      made.timesteps = at::full({rows.size(0)}, 250.0 * std::log1p(sigma));
      made.context = rows;
      return made;
    };
    Hooks none;
    if (!apart) {
      const at::Tensor both = tiny.call(run, inputs(context), none, {"uncond", "cond"}, {1, 0});
      return guided(both.narrow(0, 1, 1), both.narrow(0, 0, 1));
    }
    const at::Tensor cond = tiny.call(run, inputs(context.narrow(0, 1, 1)), none, {"cond"}, {0});
    if (batching == Batching::kCondAlone) {
      return cond;
    }
    return guided(cond, tiny.call(run, inputs(context.narrow(0, 0, 1)), none, {"uncond"}, {1}));
  }
  static at::Tensor guided(const at::Tensor& cond, const at::Tensor& uncond) { return uncond + (cond - uncond) * 3.0; }
};

/// SD1.5's shape with three levels and one layer fewer in each, quick enough for hundreds of runs.
inline TinyUNet quick_unet() {
  UNetSpec spec = preset_spec("sd15", 32);
  spec.channel_mult = {1, 2, 2};
  spec.num_res_blocks = {2, 1, 1};
  spec.transformer_depth = {1, 1, 1, 0};
  spec.transformer_depth_output = {1, 1, 1, 1, 1, 0, 0};
  return {"quick", spec};
}

}  // namespace asdm::testing
