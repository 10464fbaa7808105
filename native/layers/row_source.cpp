#include "native/layers/row_source.h"

#include <ATen/Parallel.h>

#include <vector>

#include "native/layers/convolution_operands.h"

namespace asdm {
namespace {

/// One output's patch [channels, taps] from the channels of each tap.
template <class Element>
void write_patch(const std::vector<const void*>& taps, int64_t channels, void* to) {
  auto* out = static_cast<Element*>(to);
  const auto count = static_cast<int64_t>(taps.size());
  for (int64_t tap = 0; tap < count; ++tap) {
    const auto* from = static_cast<const Element*>(taps[static_cast<size_t>(tap)]);
    for (int64_t c = 0; c < channels; ++c) {
      out[c * count + tap] = from[c];
    }
  }
}

}  // namespace

TokenRows::TokenRows(const at::Tensor& x) : data_(bytes(x)), stride_(x.size(-1) * x.element_size()) {}

void TokenRows::point(int64_t first, int64_t count, const void** rows, int64_t /*stride*/) const {
  for (int64_t i = 0; i < count; ++i) {
    rows[i] = data_ + (first + i) * stride_;
  }
}

PixelRows::PixelRows(const ImageView& image, int64_t images, int64_t channels, int64_t kernel, int64_t stride)
    : image_(image),
      images_(images),
      channels_(channels),
      kernel_(kernel),
      stride_(stride),
      out_height_((image.height() - 1) / stride + 1),
      out_width_((image.width() - 1) / stride + 1) {}

void PixelRows::point(int64_t first, int64_t count, const void** rows, int64_t stride) const {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = first + i;
    const int64_t image = row / (out_height_ * out_width_);
    const int64_t y = row / out_width_ % out_height_ * stride_ - kernel_ / 2;
    const int64_t x = row % out_width_ * stride_ - kernel_ / 2;
    for (int64_t tap = 0; tap < kernel_ * kernel_; ++tap) {
      rows[tap * stride + i] = image_.pixel(image, y + tap / kernel_, x + tap % kernel_);
    }
  }
}

at::Tensor PixelRows::patches(const at::TensorOptions& options, Workspace& workspace) const {
  const int64_t outputs = images_ * out_height_ * out_width_;
  const int64_t taps = kernel_ * kernel_;
  at::Tensor out = workspace.empty({outputs, channels_ * taps}, options);
  const int64_t size = out.element_size();
  auto* bytes = static_cast<char*>(out.mutable_data_ptr());
  at::parallel_for(0, outputs, 1, [&](int64_t begin, int64_t end) {
    std::vector<const void*> pixels(static_cast<size_t>(taps));
    for (int64_t i = begin; i < end; ++i) {
      point(i, 1, pixels.data(), 1);
      char* to = bytes + i * channels_ * taps * size;
      size == sizeof(uint16_t) ? write_patch<uint16_t>(pixels, channels_, to)
                               : write_patch<uint32_t>(pixels, channels_, to);
    }
  });
  return out;
}

}  // namespace asdm
