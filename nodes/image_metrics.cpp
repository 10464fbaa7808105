#include "nodes/image_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace asdm::nodes {
namespace {

constexpr int64_t kChannels = 3;
constexpr int64_t kWindow = 11;
constexpr double kSigma = 1.5;
constexpr double kC1 = 0.01 * 0.01;
constexpr double kC2 = 0.03 * 0.03;

using Window = std::array<double, kWindow>;

Window gaussian_window() {
  Window window{};
  double sum = 0.0;
  for (int64_t i = 0; i < kWindow; ++i) {
    const double distance = static_cast<double>(i - kWindow / 2);
    window[static_cast<size_t>(i)] = std::exp(-distance * distance / (2.0 * kSigma * kSigma));
    sum += window[static_cast<size_t>(i)];
  }
  for (double& weight : window) {
    weight /= sum;
  }
  return window;
}

/// One channel of one picture, row-major.
struct Plane {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<double> values;
};

Plane channel_plane(const Image& image, int64_t picture, int64_t channel) {
  Plane plane{image.height, image.width, std::vector<double>(static_cast<size_t>(image.height * image.width))};
  const int64_t start = picture * image.height * image.width;
  for (int64_t i = 0; i < image.height * image.width; ++i) {
    plane.values[static_cast<size_t>(i)] = image.pixels[static_cast<size_t>((start + i) * kChannels + channel)];
  }
  return plane;
}

Plane product(const Plane& a, const Plane& b) {
  Plane out = a;
  for (size_t i = 0; i < out.values.size(); ++i) {
    out.values[i] *= b.values[i];
  }
  return out;
}

/// Windowed means at every position where the whole window fits: [height - 10, width - 10].
Plane blur(const Plane& plane, const Window& window) {
  const int64_t width = plane.width - kWindow + 1;
  const int64_t height = plane.height - kWindow + 1;
  std::vector<double> rows(static_cast<size_t>(plane.height * width), 0.0);
  for (int64_t y = 0; y < plane.height; ++y) {
    const double* in = plane.values.data() + y * plane.width;
    double* out = rows.data() + y * width;
    for (int64_t k = 0; k < kWindow; ++k) {
      for (int64_t x = 0; x < width; ++x) {
        out[x] += window[static_cast<size_t>(k)] * in[x + k];
      }
    }
  }
  Plane result{height, width, std::vector<double>(static_cast<size_t>(height * width), 0.0)};
  for (int64_t y = 0; y < height; ++y) {
    double* out = result.values.data() + y * width;
    for (int64_t k = 0; k < kWindow; ++k) {
      const double* in = rows.data() + (y + k) * width;
      for (int64_t x = 0; x < width; ++x) {
        out[x] += window[static_cast<size_t>(k)] * in[x];
      }
    }
  }
  return result;
}

double plane_ssim(const Plane& a, const Plane& b, const Window& window) {
  const Plane mean_a = blur(a, window);
  const Plane mean_b = blur(b, window);
  const Plane square_a = blur(product(a, a), window);
  const Plane square_b = blur(product(b, b), window);
  const Plane cross = blur(product(a, b), window);
  double sum = 0.0;
  for (size_t i = 0; i < mean_a.values.size(); ++i) {
    const double ma = mean_a.values[i];
    const double mb = mean_b.values[i];
    const double variance_a = square_a.values[i] - ma * ma;
    const double variance_b = square_b.values[i] - mb * mb;
    const double covariance = cross.values[i] - ma * mb;
    sum += ((2.0 * ma * mb + kC1) * (2.0 * covariance + kC2)) /
           ((ma * ma + mb * mb + kC1) * (variance_a + variance_b + kC2));
  }
  return sum / static_cast<double>(mean_a.values.size());
}

}  // namespace

double psnr(const Image& reference, const Image& image) {
  double squared = 0.0;
  for (size_t i = 0; i < reference.pixels.size(); ++i) {
    const double difference = static_cast<double>(reference.pixels[i]) - static_cast<double>(image.pixels[i]);
    squared += difference * difference;
  }
  const double mean = squared / static_cast<double>(reference.pixels.size());
  return mean == 0.0 ? std::numeric_limits<double>::infinity() : -10.0 * std::log10(mean);
}

std::optional<double> ssim(const Image& reference, const Image& image) {
  if (reference.height < kWindow || reference.width < kWindow || reference.batch < 1) {
    return std::nullopt;
  }
  const Window window = gaussian_window();
  double sum = 0.0;
  for (int64_t picture = 0; picture < reference.batch; ++picture) {
    for (int64_t channel = 0; channel < kChannels; ++channel) {
      sum += plane_ssim(channel_plane(reference, picture, channel), channel_plane(image, picture, channel), window);
    }
  }
  return sum / static_cast<double>(reference.batch * kChannels);
}

Image amplified_difference(const Image& reference, const Image& image, float gain) {
  Image out = reference;
  for (size_t i = 0; i < out.pixels.size(); ++i) {
    out.pixels[i] = std::min(1.0F, gain * std::abs(reference.pixels[i] - image.pixels[i]));
  }
  return out;
}

}  // namespace asdm::nodes
