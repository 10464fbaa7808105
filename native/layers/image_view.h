// Where the pixels under a convolution lie.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace asdm {

/// An image batch in channels_last that nearest neighbour enlarges to `size` (where not empty) as it is read.
class ImageView {
 public:
  ImageView(const at::Tensor& x, at::IntArrayRef size);

  [[nodiscard]] int64_t height() const noexcept { return height_; }
  [[nodiscard]] int64_t width() const noexcept { return width_; }
  /// Channels of a pixel; zeros outside of the image.
  [[nodiscard]] const void* pixel(int64_t image, int64_t y, int64_t x) const;

 private:
  const char* data_;
  int64_t pixel_bytes_;
  at::Tensor zeros_;
  int64_t in_height_;
  int64_t in_width_;
  int64_t height_;
  int64_t width_;
};

}  // namespace asdm
