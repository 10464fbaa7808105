// Measures how far apart two batches of pictures are. Values 0..1, so the data range is 1.
#pragma once

#include <optional>

#include "nodes/host.h"

namespace asdm::nodes {

/// Peak signal-to-noise ratio in dB from the squared error averaged over the whole batch; infinity for equal images.
/// Both images have the same size and at least one pixel.
[[nodiscard]] double psnr(const Image& reference, const Image& image);

/// Structural similarity (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, C1 = 0.01^2, C2 = 0.03^2, population
/// variance, computed for R, G and B apart, averaged over all whole windows, channels and pictures.
/// Empty where a side is below 11 pixels. Both images have the same size.
[[nodiscard]] std::optional<double> ssim(const Image& reference, const Image& image);

/// |reference - image| * gain, clamped to 1.
[[nodiscard]] Image amplified_difference(const Image& reference, const Image& image, float gain);

}  // namespace asdm::nodes
