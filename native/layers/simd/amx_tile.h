// The tile registers of AMX.
#pragma once

#include <immintrin.h>

#include "native/layers/simd/lanes.h"

namespace asdm::simd::ASDM_SIMD {

inline constexpr int64_t kLaneBytes = sizeof(uint32_t);
inline constexpr int64_t kTileBytes = kVector * kLaneBytes;  // of a row of a tile
inline constexpr int64_t kPanelBytes = kPanel * kLaneBytes;  // of a row of a panel

/// What LDTILECFG reads: sixteen rows of sixteen lanes in each tile register.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr TileShapes() {
    for (int tile = 0; tile < 8; ++tile) {
      rows[tile] = static_cast<uint8_t>(kVector);
      row_bytes[tile] = static_cast<uint16_t>(kTileBytes);
    }
  }
};

/// What was written lies in memory from here on: g++ 12 does not know that tiles are loaded from there.
inline void seen_by_tiles() { asm volatile("" ::: "memory"); }

/// Holds the tile registers: 0 and 1 for the sums of a tile of rows with a panel, 2 and 3 for those of a second one; 4
/// and 5 for these rows, 6 and 7 for sixteen lanes of the panel. kTiles below is how many of the two there are.
class TileRegisters {
 public:
  TileRegisters() {
    static constexpr TileShapes kShapes;
    _tile_loadconfig(&kShapes);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

/// Begins sums at 0.
template <int kTiles>
inline void zero_sums() {
  seen_by_tiles();
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTiles == 2) {
    _tile_zero(2);
    _tile_zero(3);
  }
}

/// Goes on with sums [rows, 32].
template <int kTiles>
inline void load_sums(const float* sums) {
  seen_by_tiles();
  _tile_loadd(0, sums, kPanelBytes);
  _tile_loadd(1, sums + kVector, kPanelBytes);
  if constexpr (kTiles == 2) {
    const float* below = sums + kVector * kPanel;
    _tile_loadd(2, below, kPanelBytes);
    _tile_loadd(3, below + kVector, kPanelBytes);
  }
}

template <int kTiles>
inline void store_sums(float* sums) {
  _tile_stored(0, sums, kPanelBytes);
  _tile_stored(1, sums + kVector, kPanelBytes);
  if constexpr (kTiles == 2) {
    float* below = sums + kVector * kPanel;
    _tile_stored(2, below, kPanelBytes);
    _tile_stored(3, below + kVector, kPanelBytes);
  }
  seen_by_tiles();
}

/// Adds the products of sixteen lanes of the rows, strides in bytes, with those of the panel.
template <int kTiles>
inline void multiply_lanes(const void* upper, int64_t upper_stride, const void* lower, int64_t lower_stride,
                           const uint32_t* panel) {
  _tile_loadd(4, upper, upper_stride);
  _tile_loadd(6, panel, kPanelBytes);
  _tile_dpbf16ps(0, 4, 6);
  _tile_loadd(7, panel + kVector, kPanelBytes);
  _tile_dpbf16ps(1, 4, 7);
  if constexpr (kTiles == 2) {
    _tile_loadd(5, lower, lower_stride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

}  // namespace asdm::simd::ASDM_SIMD
