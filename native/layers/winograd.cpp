#include "native/layers/winograd.h"

#include <algorithm>
#include <array>

#include "native/layers/convolution_operands.h"
#include "native/layers/cpu_kernels.h"
#include "native/layers/image_view.h"
#include "native/layers/work_grid.h"

namespace asdm {
namespace {

using simd::FilteredPixel;
using simd::Kernels;
using simd::kHalfPanel;
using simd::kPanelColumns;
using simd::PanelHalf;
using simd::WinogradKernels;

constexpr int64_t kMostPositions = 36;
constexpr int64_t kMostOutputs = 16;
constexpr int64_t kFewestTiles = 32;  // below, transforming the weights costs more than it saves
constexpr int64_t kBlockRows = 8;     // rows of tiles that are transformed together
constexpr int64_t kFilterPanels = 2;  // panels that share a chunk of them in the second cache

/// One convolution: square tiles of outputs, counted through all images row by row.
struct Filtering {
  const Kernels& kernels;
  const WinogradKernels& form;
  const ImageView& image;
  int64_t images;
  int64_t channels;
  int64_t outputs;
  const PanelSource& weight;  ///< [outputs, channels, 3, 3], one for all images or one for each
  const float* bias;          ///< [images or 1, outputs] or null
  int64_t bias_stride;        ///< from image to image
  const float* residual;      ///< [images, height, width, outputs] or null
  float* out;                 ///< the same
  Workspace& workspace;

  [[nodiscard]] int64_t tiles_high() const { return ceil_div(image.height(), form.side); }
  [[nodiscard]] int64_t tiles_wide() const { return ceil_div(image.width(), form.side); }
  [[nodiscard]] TileGrid grid() const {
    return {images * tiles_high() * tiles_wide(), weight.kernels(), kernels.tile_rows};
  }
  [[nodiscard]] int64_t panels() const { return ceil_div(outputs, kPanelColumns); }
  [[nodiscard]] int64_t panel_lanes() const { return form.positions() * channels * kPanelColumns; }
};

/// Place of a tile.
struct TilePlace {
  int64_t image;
  int64_t y;  ///< of its first output
  int64_t x;
};

TilePlace place_of(const Filtering& f, int64_t tile) {
  const int64_t in_image = tile % (f.tiles_high() * f.tiles_wide());
  return {tile / (f.tiles_high() * f.tiles_wide()), in_image / f.tiles_wide() * f.form.side,
          in_image % f.tiles_wide() * f.form.side};
}

/// One thread's share: a range of tile rows times a range of panels.
class FilteringTask {
 public:
  FilteringTask(const Filtering& filtering, const WorkShare& share)
      : f_(filtering),
        share_(share),
        grid_(filtering.grid()),
        blocks_(grid_, share, kBlockRows),
        group_(blocks_.one_block() ? 1 : kFilterPanels),
        packed_(blocks_, share, group_, f_.panel_lanes(), f_.workspace),
        patches_(f_.workspace.lanes(f_.form.positions() * patch_stride())),
        sums_(f_.workspace.lanes(group_ * f_.form.positions() * sum_stride())) {}

  void run() {
    blocks_([&](const TileBlock& block) {
      transform(block);
      for (int64_t panel = share_.first_panel; panel < share_.last_panel; panel += group_) {
        run_group(block, panel, std::min(panel + group_, share_.last_panel));
      }
    });
  }

 private:
  [[nodiscard]] static float* values(const at::Tensor& lanes) { return static_cast<float*>(lanes.mutable_data_ptr()); }
  [[nodiscard]] int64_t patch_stride() const { return blocks_.block_tiles() * grid_.tile_rows * f_.channels; }
  [[nodiscard]] int64_t sum_stride() const { return blocks_.block_tiles() * grid_.tile_rows * kPanelColumns; }

  /// Transformed inputs of a block, [position, tile, channel]. Tiles past the end are left as they are: what becomes
  /// of them is not read.
  void transform(const TileBlock& block) {
    std::array<const void*, kMostPositions> pixels{};
    const int64_t width = f_.form.width();
    for (int64_t row = block.first; row < block.last; ++row) {
      for (int64_t i = 0; i < grid_.row_count(row); ++i) {
        const TilePlace place = place_of(f_, grid_.first_row(row) + i);
        for (int64_t p = 0; p < f_.form.positions(); ++p) {
          pixels[static_cast<size_t>(p)] =
              f_.image.pixel(place.image, place.y - 1 + p / width, place.x - 1 + p % width);
        }
        const int64_t tile = (row - block.first) * grid_.tile_rows + i;
        f_.form.inputs(pixels.data(), f_.channels, values(patches_) + tile * f_.channels, patch_stride());
      }
    }
  }

  void pack(const TileBlock& block, int64_t panel) {
    const auto half = [&](int64_t first) {
      return PanelHalf{first, std::clamp<int64_t>(f_.outputs - first, 0, kHalfPanel)};
    };
    const int64_t column = panel * kPanelColumns;
    f_.form.weights(f_.weight.panel(block.first_kernel, block.last_kernel, half(column), half(column + kHalfPanel)),
                    f_.channels, packed_.of(panel));
  }

  void run_group(const TileBlock& block, int64_t panel, int64_t last) {
    for (int64_t i = panel; block.packs && i < last; ++i) {
      pack(block, i);
    }
    const int64_t chunk = ceil_div(f_.channels, ceil_div(f_.channels, f_.kernels.chunk));
    for (int64_t position = 0; position < f_.form.positions(); ++position) {
      for (int64_t from = 0; from < f_.channels; from += chunk) {
        for (int64_t i = panel; i < last; ++i) {
          multiply(block, position, from, std::min(chunk, f_.channels - from), i,
                   values(sums_) + (i - panel) * f_.form.positions() * sum_stride());
        }
      }
    }
    for (int64_t i = panel; i < last; ++i) {
      finish(block, i, values(sums_) + (i - panel) * f_.form.positions() * sum_stride());
    }
  }

  void multiply(const TileBlock& block, int64_t position, int64_t from, int64_t length, int64_t panel, float* sums) {
    const float* patch = values(patches_) + position * patch_stride();
    std::array<const void*, simd::kMostTileRows> pointers{};
    for (int64_t t = 0; t < block.tiles(); ++t) {
      for (int64_t r = 0; r < grid_.tile_rows; ++r) {
        pointers[static_cast<size_t>(r)] = patch + (t * grid_.tile_rows + r) * f_.channels;
      }
      const uint32_t* weights = packed_.at(grid_.kernel_of(block.first + t) - block.first_kernel, panel);
      f_.kernels.multiply(
          {.rows = pointers.data(), .count = grid_.row_count(block.first + t), .offset = from, .depth = length},
          {.first = weights + (position * f_.channels + from) * kPanelColumns},
          sums + position * sum_stride() + t * grid_.tile_rows * kPanelColumns, 0, from == 0, nullptr);
    }
  }

  void finish(const TileBlock& block, int64_t panel, const float* sums) {
    for (int64_t row = block.first; row < block.last; ++row) {
      for (int64_t i = 0; i < grid_.row_count(row); ++i) {
        finish_tile(place_of(f_, grid_.first_row(row) + i), panel * kPanelColumns,
                    sums + ((row - block.first) * grid_.tile_rows + i) * kPanelColumns);
      }
    }
  }

  void finish_tile(const TilePlace& place, int64_t column, const float* sums) {
    FilteredPixel pixels[kMostOutputs];
    const int64_t side = f_.form.side;
    for (int64_t o = 0; o < side * side; ++o) {
      const int64_t y = place.y + o / side;
      const int64_t x = place.x + o % side;
      if (y >= f_.image.height() || x >= f_.image.width()) {
        continue;
      }
      const int64_t at = ((place.image * f_.image.height() + y) * f_.image.width() + x) * f_.outputs + column;
      pixels[o].out = f_.out + at;
      pixels[o].bias = f_.bias == nullptr ? nullptr : f_.bias + place.image * f_.bias_stride + column;
      pixels[o].residual = f_.residual == nullptr ? nullptr : f_.residual + at;
    }
    f_.form.outputs(sums, sum_stride(), pixels, std::min(kPanelColumns, f_.outputs - column));
  }

  const Filtering& f_;
  WorkShare share_;
  TileGrid grid_;
  BlockWalk blocks_;
  int64_t group_;
  PackedPanels packed_;
  at::Tensor patches_;
  at::Tensor sums_;
};

/// The kernels to filter by; null where the plain sum is as fast.
const WinogradKernels* form_of(const Kernels& kernels, const at::Tensor& x, const MixedWeight& weight, int64_t stride,
                               const ImageView& image) {
  const bool runs = kernels.small_winograd.side > 0 && stride == 1 && weight.size(2) == 3 &&
                    x.size(1) % kHalfPanel == 0 && weight.size(0) % kHalfPanel == 0;
  const auto tiles = [&](const WinogradKernels& form) {
    return ceil_div(image.height(), form.side) * ceil_div(image.width(), form.side);
  };
  if (runs && x.size(0) / weight.kernels() * tiles(kernels.large_winograd) >= kFewestTiles) {
    return &kernels.large_winograd;
  }
  return runs && x.size(0) * tiles(kernels.small_winograd) >= kFewestTiles ? &kernels.small_winograd : nullptr;
}

}  // namespace

at::Tensor cpu_winograd(const at::Tensor& x, const MixedWeight& weight, const at::Tensor& bias, int64_t stride,
                        const ConvolutionExtras& extras, Workspace& workspace) {
  const Kernels* kernels = cpu_kernels(x.scalar_type());
  if (!runs_convolution(kernels, x, weight, bias, extras)) {
    return {};
  }
  const ImageView image(x, extras.size);
  const WinogradKernels* form = form_of(*kernels, x, weight, stride, image);
  if (form == nullptr) {
    return {};
  }
  const at::Tensor shift = pixel_shift(bias, extras.shift);
  const at::Tensor residual = residual_in_order(extras.residual);
  const int64_t outputs = weight.size(0);
  at::Tensor out =
      workspace.empty({x.size(0), outputs, image.height(), image.width()}, x.options(), at::MemoryFormat::ChannelsLast);
  const PanelSource source(weight);
  const Filtering filtering{*kernels,
                            *form,
                            image,
                            x.size(0),
                            x.size(1),
                            outputs,
                            source,
                            floats(shift),
                            shift_stride(shift),
                            floats(residual),
                            out.mutable_data_ptr<float>(),
                            workspace};
  share_out(filtering.grid(), filtering.panels(),
            [&](const WorkShare& share) { FilteringTask(filtering, share).run(); });
  return out;
}

}  // namespace asdm
