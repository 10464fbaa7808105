// How a product is shared out over the threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include <ATen/Parallel.h>

namespace asdm {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// A range of row tiles times a range of panels.
struct WorkShare {
  int64_t first_tile;
  int64_t last_tile;
  int64_t first_panel;
  int64_t last_panel;
};

/// Calls `work` for each share of a grid of row ranges by panel ranges, the one with the least work for the busiest
/// thread. A panel costs its packing, about that of one tile, besides its tiles.
template <class Work>
void share_out(int64_t tiles, int64_t panels, const Work& work) {
  const int64_t threads = at::get_num_threads();
  int64_t by_rows = 1;
  int64_t best = -1;
  for (int64_t rows = 1; rows <= std::min(threads, tiles); ++rows) {
    const int64_t cost = ceil_div(panels, std::min(threads / rows, panels)) * (ceil_div(tiles, rows) + 1);
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
