// Where the rows of a product lie: tokens, or the pixels under the taps of a convolution.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "native/layers/image_view.h"
#include "native/layers/workspace.h"

namespace asdm {

/// Rows of the left operand: one pointer per (tap, row).
class RowSource {
 public:
  virtual ~RowSource() = default;
  /// Pointers of rows [first, first + count), `stride` apart per tap.
  virtual void point(int64_t first, int64_t count, const void** rows, int64_t stride) const = 0;
};

/// Tokens one after the other.
class TokenRows final : public RowSource {
 public:
  /// x [rows, channels], contiguous.
  explicit TokenRows(const at::Tensor& x);
  void point(int64_t first, int64_t count, const void** rows, int64_t stride) const override;

 private:
  const char* data_;
  int64_t stride_;
};

/// Pixels under the taps of a same-padded convolution.
class PixelRows final : public RowSource {
 public:
  /// Of `images` images of so many channels, a square kernel of side `kernel`; keeps `image`.
  PixelRows(const ImageView& image, int64_t images, int64_t channels, int64_t kernel, int64_t stride);

  [[nodiscard]] int64_t out_height() const { return out_height_; }
  [[nodiscard]] int64_t out_width() const { return out_width_; }

  void point(int64_t first, int64_t count, const void** rows, int64_t stride) const override;

  /// What each output is a sum of, in the order that weights lie in: [outputs, channels * taps], of the dtype of the
  /// images, which `options` names.
  [[nodiscard]] at::Tensor patches(const at::TensorOptions& options, Workspace& workspace) const;

 private:
  const ImageView& image_;
  int64_t images_;
  int64_t channels_;
  int64_t kernel_;
  int64_t stride_;
  int64_t out_height_;
  int64_t out_width_;
};

}  // namespace asdm
