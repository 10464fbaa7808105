// How a product is shared out over the threads, and a thread's share over its caches.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "native/layers/simd/kernels.h"
#include "native/layers/workspace.h"

namespace asdm {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Rows in tiles that meet one kernel each: an even part of the rows belongs to each kernel.
struct TileGrid {
  int64_t rows;
  int64_t kernels;
  int64_t tile_rows;

  [[nodiscard]] int64_t kernel_rows() const { return rows / kernels; }
  [[nodiscard]] int64_t kernel_tiles() const { return ceil_div(kernel_rows(), tile_rows); }
  [[nodiscard]] int64_t tiles() const { return kernels * kernel_tiles(); }
  [[nodiscard]] int64_t kernel_of(int64_t tile) const { return tile / kernel_tiles(); }
  [[nodiscard]] int64_t first_row(int64_t tile) const {
    return kernel_of(tile) * kernel_rows() + tile % kernel_tiles() * tile_rows;
  }
  /// Rows of a tile; the last one of a kernel may have fewer.
  [[nodiscard]] int64_t row_count(int64_t tile) const {
    return std::min(tile_rows, kernel_rows() - tile % kernel_tiles() * tile_rows);
  }
};

/// A range of tiles times a range of panels.
struct WorkShare {
  int64_t first_tile;
  int64_t last_tile;
  int64_t first_panel;
  int64_t last_panel;
};

/// Tiles that are multiplied together, and the kernels that are packed at a time: theirs, and some that follow.
struct TileBlock {
  int64_t first;
  int64_t last;
  int64_t first_kernel;
  int64_t last_kernel;
  bool packs;  ///< the first block of these kernels

  [[nodiscard]] int64_t tiles() const { return last - first; }
};

/// Kernels that are packed at a time, so that the experts are read once for them all. The panels of each are kept until
/// its last block, hence no more: these are cond and uncond.
inline constexpr int64_t kKernelsAtOnce = 2;

/// A share in blocks of at most `limit` tiles. Where it is more than one block, each block meets one kernel.
class BlockWalk {
 public:
  BlockWalk(const TileGrid& grid, const WorkShare& share, int64_t limit)
      : grid_(grid), share_(share), limit_(limit), one_block_(share.last_tile - share.first_tile <= limit) {}

  [[nodiscard]] bool one_block() const { return one_block_; }
  [[nodiscard]] int64_t block_tiles() const { return std::min(limit_, share_.last_tile - share_.first_tile); }
  /// The most kernels that are packed at a time.
  [[nodiscard]] int64_t kernels() const { return one_block_ ? touched() : std::min(touched(), kKernelsAtOnce); }

  template <class Run>
  void operator()(const Run& run) const {
    const int64_t first_kernel = grid_.kernel_of(share_.first_tile);
    int64_t packed = first_kernel;  // kernels before it have been packed
    for (int64_t tile = share_.first_tile; tile < share_.last_tile;) {
      const int64_t kernel = grid_.kernel_of(tile);
      const bool packs = kernel >= packed;
      packed = packs ? std::min(kernel + kernels(), first_kernel + touched()) : packed;
      const int64_t limit = one_block_ ? share_.last_tile : (kernel + 1) * grid_.kernel_tiles();
      const int64_t last = std::min({tile + limit_, limit, share_.last_tile});
      run(TileBlock{tile, last, kernel - (kernel - first_kernel) % kernels(), packed, packs});
      tile = last;
    }
  }

 private:
  [[nodiscard]] int64_t touched() const {
    return grid_.kernel_of(share_.last_tile - 1) - grid_.kernel_of(share_.first_tile) + 1;
  }

  TileGrid grid_;
  WorkShare share_;
  int64_t limit_;
  bool one_block_;
};

/// The packed weights of a share: the panels of each kernel that is packed at a time. Those that a single block meets
/// are kept for the time of a group.
class PackedPanels {
 public:
  PackedPanels(const BlockWalk& blocks, const WorkShare& share, int64_t group, int64_t panel_lanes,
               Workspace& workspace)
      : first_panel_(share.first_panel),
        kept_(blocks.one_block() ? group : share.last_panel - share.first_panel),
        panel_stride_(panel_lanes),
        kernel_stride_(kept_ * panel_lanes),
        lanes_(workspace.lanes(blocks.kernels() * kernel_stride_)) {}

  /// Of the kernel `kernel` among those that are packed.
  [[nodiscard]] uint32_t* at(int64_t kernel, int64_t panel) const {
    return static_cast<uint32_t*>(lanes_.mutable_data_ptr()) + kernel * kernel_stride_ +
           (panel - first_panel_) % kept_ * panel_stride_;
  }
  [[nodiscard]] int64_t panel_stride() const { return panel_stride_; }
  /// Where a panel of all kernels is packed to.
  [[nodiscard]] simd::Panels of(int64_t panel) const { return {at(0, panel), kernel_stride_}; }

 private:
  int64_t first_panel_;
  int64_t kept_;  ///< panels
  int64_t panel_stride_;
  int64_t kernel_stride_;  ///< from one kernel's panels to the next one's
  at::Tensor lanes_;
};

/// Calls `work` for each share of a grid of tile ranges by panel ranges, the one with the least work for the busiest
/// thread. A panel costs its packing, about that of one tile for each kernel, besides its tiles.
template <class Work>
void share_out(const TileGrid& grid, int64_t panels, const Work& work) {
  const int64_t threads = at::get_num_threads();
  const int64_t tiles = grid.tiles();
  int64_t by_rows = 1;
  int64_t best = -1;
  for (int64_t rows = 1; rows <= std::min(threads, tiles); ++rows) {
    const int64_t cost =
        ceil_div(panels, std::min(threads / rows, panels)) * (ceil_div(tiles, rows) + ceil_div(grid.kernels, rows));
    if (best < 0 || cost < best) {
      best = cost;
      by_rows = rows;
    }
  }
  const int64_t by_panels = std::min(threads / by_rows, panels);
  at::parallel_for(0, by_rows * by_panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t r = task / by_panels;
      const int64_t c = task % by_panels;
      work(WorkShare{tiles * r / by_rows, tiles * (r + 1) / by_rows, panels * c / by_panels,
                     panels * (c + 1) / by_panels});
    }
  });
}

}  // namespace asdm
