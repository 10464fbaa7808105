// Sizes of images, and rows of batches.
#pragma once

#include <cstdint>

namespace asdm {

/// Height and width of an image, a latent, or what is made of one.
struct SpatialSize {
  int64_t height = 0;
  int64_t width = 0;
  bool operator==(const SpatialSize&) const = default;
  [[nodiscard]] int64_t area() const { return height * width; }
};

/// Consecutive rows of a batch.
struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

}  // namespace asdm
