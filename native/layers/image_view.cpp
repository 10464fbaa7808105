#include "native/layers/image_view.h"

#include <ATen/ops/zeros.h>

namespace asdm {

ImageView::ImageView(const at::Tensor& x, at::IntArrayRef size)
    : data_(static_cast<const char*>(x.const_data_ptr())),
      pixel_bytes_(x.size(1) * x.element_size()),
      zeros_(at::zeros({x.size(1)}, x.options())),
      in_height_(x.size(2)),
      in_width_(x.size(3)),
      height_(size.empty() ? in_height_ : size[0]),
      width_(size.empty() ? in_width_ : size[1]) {}

const void* ImageView::pixel(int64_t image, int64_t y, int64_t x) const {
  if (y < 0 || x < 0 || y >= height_ || x >= width_) {
    return zeros_.const_data_ptr();
  }
  const int64_t from_y = height_ == in_height_ ? y : y * in_height_ / height_;
  const int64_t from_x = width_ == in_width_ ? x : x * in_width_ / width_;
  return data_ + ((image * in_height_ + from_y) * in_width_ + from_x) * pixel_bytes_;
}

}  // namespace asdm
