#include "native/layers/product.h"

#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>

#include <algorithm>
#include <vector>

#include "native/layers/convolution_operands.h"
#include "native/layers/cpu_kernels.h"
#include "native/layers/image_view.h"
#include "native/layers/row_source.h"
#include "native/layers/work_grid.h"

namespace asdm {
namespace {

using simd::FinishRows;
using simd::Kernels;
using simd::kHalfPanel;
using simd::kMostTaps;
using simd::kPanelColumns;
using simd::PanelHalf;
using simd::RowsPart;

// Below, packing the weights costs more than it saves: against torch's linears, and against its convolutions, which
// reorder all weights for however few pixels.
constexpr int64_t kSmallestLinear = 24;
constexpr int64_t kSmallestConvolution = 4;
constexpr int64_t kBlockTiles = 32;  // tiles of rows that share what the second cache holds
constexpr int64_t kGroupPanels = 4;  // the most panels that share a chunk of rows in the second cache

/// out[row][column] = sum over taps and channels of rows * weight + bias + residual, or its gated form.
struct Product {
  const Kernels& kernels;
  const RowSource& source;
  int64_t rows;
  int64_t channels;
  int64_t taps;
  const PanelSource& weight;  ///< [outputs (twice where gated), channels, taps], one for all rows or for even parts
  int64_t outputs;
  bool gated;
  const float* bias;  ///< [rows / rows_per_bias, outputs (twice where gated)] or null
  int64_t rows_per_bias;
  const char* residual;  ///< [rows, outputs] or null
  char* out;             ///< [rows, outputs]
  bool turned;           ///< the rows are weights, of which none is read twice, and `out` takes the sums in fp32
  Workspace& workspace;

  [[nodiscard]] TileGrid grid() const { return {rows, weight.kernels(), kernels.tile_rows}; }
  [[nodiscard]] int64_t depth() const { return channels / kernels.group; }
  /// Lanes of a tap in a panel.
  [[nodiscard]] int64_t panel_depth() const { return ceil_div(depth(), kernels.depth_step) * kernels.depth_step; }
  /// Lanes of a tap, and taps, that are multiplied at a time.
  [[nodiscard]] int64_t chunk() const {
    const int64_t steps = panel_depth() / kernels.depth_step;
    return ceil_div(steps, ceil_div(panel_depth(), kernels.chunk)) * kernels.depth_step;
  }
  [[nodiscard]] int64_t chunk_taps() const {
    const int64_t most = std::clamp<int64_t>(kernels.chunk / panel_depth(), 1, kMostTaps);
    return ceil_div(taps, ceil_div(taps, most));
  }
  [[nodiscard]] int64_t columns() const { return gated ? kHalfPanel : kPanelColumns; }
  [[nodiscard]] int64_t panels() const { return ceil_div(outputs, columns()); }
  [[nodiscard]] int64_t panel_lanes() const { return taps * panel_depth() * kPanelColumns; }
};

/// One thread's share: a range of row tiles times a range of panels.
class ProductTask {
 public:
  ProductTask(const Product& product, const WorkShare& share)
      : p_(product),
        share_(share),
        grid_(product.grid()),
        blocks_(grid_, share, kBlockTiles),
        group_(panels_at_once()),
        packed_(blocks_, share, group_, p_.panel_lanes(), p_.workspace),
        scratch_(p_.workspace.lanes(
            std::max(p_.kernels.packing_scratch(p_.taps), p_.kernels.gathered_rows * p_.kernels.chunk))),
        sums_(p_.workspace.lanes(group_ * sums_stride())),
        pointers_(static_cast<size_t>(p_.taps * kBlockTiles * grid_.tile_rows)) {}

  void run() {
    blocks_([&](const TileBlock& block) {
      point(block);
      for (int64_t panel = share_.first_panel; panel < share_.last_panel; panel += group_) {
        run_group(block, panel, std::min(panel + group_, share_.last_panel));
      }
    });
  }

 private:
  /// Panels that are multiplied together: what the second cache holds of them, which is as much as a block meets, and
  /// where each is packed just before, all of it.
  [[nodiscard]] int64_t panels_at_once() const {
    const int64_t lanes = blocks_.one_block() ? p_.panel_lanes() : p_.chunk_taps() * p_.chunk() * kPanelColumns;
    return std::clamp<int64_t>(p_.kernels.group_lanes / lanes, 1, kGroupPanels);
  }

  /// Floats from panel to panel.
  [[nodiscard]] int64_t sums_stride() const { return kBlockTiles * grid_.tile_rows * kPanelColumns; }
  [[nodiscard]] float* sums_of(int64_t in_group, int64_t tile) const {
    return static_cast<float*>(sums_.mutable_data_ptr()) + in_group * sums_stride() +
           tile * grid_.tile_rows * kPanelColumns;
  }
  [[nodiscard]] uint32_t* scratch() const { return static_cast<uint32_t*>(scratch_.mutable_data_ptr()); }

  /// Fills the pointers of a block; rows past the end of a tile repeat its last one.
  void point(const TileBlock& block) {
    const int64_t stride = kBlockTiles * grid_.tile_rows;
    for (int64_t t = 0; t < block.tiles(); ++t) {
      const int64_t count = grid_.row_count(block.first + t);
      const void** rows = pointers_.data() + t * grid_.tile_rows;
      p_.source.point(grid_.first_row(block.first + t), count, rows, stride);
      for (int64_t tap = 0; tap < p_.taps && count < grid_.tile_rows; ++tap) {
        std::fill(rows + tap * stride + count, rows + tap * stride + grid_.tile_rows, rows[tap * stride + count - 1]);
      }
    }
  }

  void pack(const TileBlock& block, int64_t panel) {
    const int64_t column = panel * p_.columns();
    const int64_t left = p_.outputs - column;
    const PanelHalf low{column, std::clamp<int64_t>(left, 0, kHalfPanel)};
    const PanelHalf high = p_.gated
                               ? PanelHalf{p_.outputs + column, low.count}
                               : PanelHalf{column + kHalfPanel, std::clamp<int64_t>(left - kHalfPanel, 0, kHalfPanel)};
    p_.kernels.pack_panel(p_.weight.panel(block.first_kernel, block.last_kernel, low, high), p_.channels, p_.taps,
                          packed_.of(panel), scratch());
  }

  void run_group(const TileBlock& block, int64_t panel, int64_t last) {
    for (int64_t i = panel; block.packs && i < last; ++i) {
      pack(block, i);
    }
    multiply(block, panel, last);
    for (int64_t i = panel; i < last; ++i) {
      for (int64_t t = 0; t < block.tiles(); ++t) {
        finish(sums_of(i - panel, t), block.first + t, i);
      }
    }
  }

  /// Where the tiles of a block that meet the kernel of tile `t` end.
  [[nodiscard]] int64_t kernel_end(const TileBlock& block, int64_t t) const {
    return std::min(block.tiles(), (grid_.kernel_of(block.first + t) + 1) * grid_.kernel_tiles() - block.first);
  }

  void multiply(const TileBlock& block, int64_t panel, int64_t last) {
    const int64_t chunk = p_.chunk();
    const int64_t chunk_taps = p_.chunk_taps();
    for (int64_t tap = 0; tap < p_.taps; tap += chunk_taps) {
      for (int64_t from = 0; from < p_.depth(); from += chunk) {
        for (int64_t t = 0, end = 0; t < block.tiles(); t = end) {
          end = kernel_end(block, t);
          multiply_part({.rows = pointers_.data() + (tap * kBlockTiles + t) * grid_.tile_rows,
                         .tap_stride = kBlockTiles * grid_.tile_rows,
                         .taps = std::min(chunk_taps, p_.taps - tap),
                         .count = (end - t - 1) * grid_.tile_rows + grid_.row_count(block.first + end - 1),
                         .offset = from,
                         .depth = std::min(chunk, p_.depth() - from),
                         .from_memory = p_.turned},
                        block, t, tap, panel, last);
        }
      }
    }
  }

  /// `rows` from tile `t` of a block and from tap `tap` on.
  void multiply_part(const RowsPart& rows, const TileBlock& block, int64_t t, int64_t tap, int64_t panel,
                     int64_t last) {
    const uint32_t* weights = packed_.at(grid_.kernel_of(block.first + t) - block.first_kernel, panel);
    p_.kernels.multiply(rows,
                        {.first = weights + (tap * p_.panel_depth() + rows.offset) * kPanelColumns,
                         .tap_stride = p_.panel_depth() * kPanelColumns,
                         .panel_stride = packed_.panel_stride(),
                         .count = last - panel},
                        sums_of(0, t), sums_stride(), tap == 0 && rows.offset == 0, scratch());
  }

  /// Rows of a tile that share a bias at a time.
  void finish(const float* sums, int64_t tile, int64_t panel) {
    const int64_t last = grid_.first_row(tile) + grid_.row_count(tile);
    for (int64_t first = grid_.first_row(tile); first < last;) {
      const int64_t number = p_.rows_per_bias < p_.rows ? first / p_.rows_per_bias : 0;
      const int64_t count = std::min(last, (number + 1) * p_.rows_per_bias) - first;
      finish_rows(sums, first, count, panel, number);
      sums += count * kPanelColumns;
      first += count;
    }
  }

  void finish_rows(const float* sums, int64_t first, int64_t count, int64_t panel, int64_t bias) {
    const int64_t column = panel * p_.columns();
    const int64_t size = p_.turned ? static_cast<int64_t>(sizeof(float)) : p_.kernels.element_size;
    const int64_t at = (first * p_.outputs + column) * size;
    FinishRows rows{.out = p_.out + at,
                    .out_stride = p_.outputs * size,
                    .residual = p_.residual == nullptr ? nullptr : p_.residual + at,
                    .count = count,
                    .columns = std::min(p_.columns(), p_.outputs - column)};
    if (p_.bias != nullptr) {
      rows.bias = p_.bias + bias * p_.outputs * (p_.gated ? 2 : 1) + column;
      rows.gate_bias = p_.gated ? rows.bias + p_.outputs : nullptr;
    }
    const auto kernel = p_.turned ? p_.kernels.finish_wide : p_.gated ? p_.kernels.finish_gated : p_.kernels.finish;
    kernel(sums, rows);
  }

  const Product& p_;
  WorkShare share_;
  TileGrid grid_;
  BlockWalk blocks_;
  int64_t group_;
  PackedPanels packed_;
  at::Tensor scratch_;
  at::Tensor sums_;
  std::vector<const void*> pointers_;
};

void run(const Product& product) {
  share_out(product.grid(), product.panels(), [&](const WorkShare& share) { ProductTask(product, share).run(); });
}

/// True where a product of this size has a kernel and is worth packing the weights.
bool pays(const Kernels* kernels, int64_t channels, int64_t taps, int64_t rows) {
  if (kernels == nullptr || channels % kernels->group != 0) {
    return false;
  }
  return rows >= (taps > 1 ? kSmallestConvolution : kSmallestLinear);
}

/// True where packing the rows and reading the weights as they lie is faster: no more of them than `few`, and a panel
/// of them well filled.
bool are_few(int64_t rows, int64_t few) {
  const int64_t last = rows % kPanelColumns;
  return rows <= few && (last == 0 || last >= kHalfPanel);
}

/// W x^T, fp32 [outputs, rows]: where the rows are few, they are packed and the weights are read as they lie, once.
at::Tensor turned_product(const Kernels& kernels, const at::Tensor& x, const at::Tensor& weight, Workspace& workspace) {
  const int64_t rows = x.size(0);
  at::Tensor out = workspace.empty({weight.size(0), rows}, x.options().dtype(at::kFloat));
  const TokenRows source(weight);
  run({kernels, source, weight.size(0), x.size(1), 1, PanelSource(x), rows, false, nullptr, weight.size(0), nullptr,
       static_cast<char*>(out.mutable_data_ptr()), true, workspace});
  return out;
}

/// The linear of few rows; tensors as those of run_linear, x [rows, in].
at::Tensor few_rows_linear(const Kernels& kernels, const at::Tensor& x, const at::Tensor& weight,
                           const at::Tensor& bias, const at::Tensor& residual, bool gated, Workspace& workspace) {
  at::Tensor sums = turned_product(kernels, x, weight, workspace);
  if (bias.defined()) {
    sums.add_(bias.unsqueeze(1));
  }
  if (gated) {
    const int64_t hidden = sums.size(0) / 2;
    sums = sums.narrow(0, 0, hidden).mul_(at::gelu(sums.narrow(0, hidden, hidden)));
  }
  at::Tensor out = workspace.empty({x.size(0), sums.size(0)}, x.options());
  return residual.defined() ? at::add_out(out, sums.t(), residual.reshape(out.sizes())) : out.copy_(sums.t());
}

/// The convolution of few pixels; `shift` and `residual` as Product has them, but as tensors.
at::Tensor few_pixels_convolution(const Kernels& kernels, const at::Tensor& x, const MixedWeight& weight,
                                  const PixelRows& source, const at::Tensor& shift, const at::Tensor& residual,
                                  at::Tensor out, Workspace& workspace) {
  const at::Tensor patches = source.patches(x.options(), workspace);
  const int64_t count = patches.size(0) / weight.kernels();
  std::vector<at::Tensor> products;  // [out, pixels of the kernel]
  for (int64_t k = 0; k < weight.kernels(); ++k) {
    products.push_back(turned_product(kernels, patches.narrow(0, k * count, count),
                                      weight.kernel(k).whole(workspace).select(0, 0).flatten(1), workspace));
  }
  const at::Tensor product = products.size() == 1 ? products.front() : at::cat(products, 1);
  at::Tensor sums = product.view({-1, x.size(0), source.out_height() * source.out_width()});
  if (shift.defined()) {  // [out] or [batch, out]
    sums.add_((shift.dim() == 1 ? shift.unsqueeze(0) : shift).t().unsqueeze(2));
  }
  const at::Tensor result = sums.permute({1, 0, 2}).view_as(out);
  return residual.defined() ? at::add_out(out, result, residual) : out.copy_(result);
}

at::Tensor run_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                      bool gated, Workspace& workspace) {
  const Kernels* kernels = cpu_kernels(x.scalar_type());
  const int64_t channels = x.size(-1);
  const int64_t rows = x.numel() / std::max<int64_t>(channels, 1);
  if (!pays(kernels, channels, 1, rows) || !x.device().is_cpu() || !weight.is_contiguous() ||
      weight.scalar_type() != x.scalar_type() || records_gradient(x) || records_gradient(weight) ||
      records_gradient(bias) || records_gradient(residual)) {
    return {};
  }
  const int64_t outputs = weight.size(0) / (gated ? 2 : 1);
  auto sizes = x.sizes().vec();
  sizes.back() = outputs;
  const at::Tensor tokens = x.contiguous();
  if (are_few(rows, kernels->few_tokens)) {
    return few_rows_linear(*kernels, tokens.view({rows, channels}), weight, bias, residual, gated, workspace)
        .view(sizes);
  }
  const at::Tensor added = residual.defined() ? residual.contiguous() : residual;
  const at::Tensor shift = in_fp32(bias);
  at::Tensor out = workspace.empty(sizes, x.options());
  const TokenRows source(tokens);
  run({*kernels, source, rows, channels, 1, PanelSource(weight), outputs, gated, floats(shift), rows, bytes(added),
       static_cast<char*>(out.mutable_data_ptr()), false, workspace});
  return out;
}

}  // namespace

at::Tensor cpu_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                      Workspace& workspace) {
  return run_linear(x, weight, bias, residual, false, workspace);
}

at::Tensor cpu_geglu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Workspace& workspace) {
  return run_linear(x, weight, bias, {}, true, workspace);
}

at::Tensor cpu_convolution(const at::Tensor& x, const MixedWeight& weight, const at::Tensor& bias, int64_t stride,
                           const ConvolutionExtras& extras, Workspace& workspace) {
  const Kernels* kernels = cpu_kernels(x.scalar_type());
  if (!runs_convolution(kernels, x, weight, bias, extras)) {
    return {};
  }
  const ImageView image(x, extras.size);
  const PixelRows source(image, x.size(0), x.size(1), weight.size(2), stride);
  const int64_t pixels = source.out_height() * source.out_width();
  const int64_t rows = x.size(0) * pixels;
  const int64_t outputs = weight.size(0);
  if (!pays(kernels, x.size(1), weight.size(2) * weight.size(3), rows) || outputs < kHalfPanel) {
    return {};
  }
  const at::Tensor shift = pixel_shift(bias, extras.shift);
  const at::Tensor residual = residual_in_order(extras.residual);
  at::Tensor out = workspace.empty({x.size(0), outputs, source.out_height(), source.out_width()}, x.options(),
                                   at::MemoryFormat::ChannelsLast);
  if (are_few(rows / weight.kernels(), kernels->few_pixels)) {
    return few_pixels_convolution(*kernels, x, weight, source, shift, residual, out, workspace);
  }
  run({*kernels, source, rows, x.size(1), weight.size(2) * weight.size(3), PanelSource(weight), outputs, false,
       floats(shift), shift_stride(shift) > 0 ? pixels : rows, bytes(residual),
       static_cast<char*>(out.mutable_data_ptr()), false, workspace});
  return out;
}

}  // namespace asdm
