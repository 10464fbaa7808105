// The tile registers of AMX.
#pragma once

#include <immintrin.h>

#include "native/layers/simd/lanes.h"

namespace asdm::simd::ASDM_SIMD {

inline constexpr int64_t kLaneBytes = sizeof(uint32_t);
inline constexpr int64_t kTileBytes = kVector * kLaneBytes;  // of a row of a tile
inline constexpr int64_t kPanelBytes = kPanel * kLaneBytes;  // of a row of a panel

/// What LDTILECFG reads: rows, and bytes in a row, of each tile register.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void set(int tile, int64_t height, int64_t lanes) {
    rows[tile] = static_cast<uint8_t>(height);
    row_bytes[tile] = static_cast<uint16_t>(lanes * kLaneBytes);
  }
};

/// What was written lies in memory from here on: g++ 12 does not know that tiles are loaded from there.
inline void seen_by_tiles() { asm volatile("" ::: "memory"); }

/// Holds the tile registers in such shapes.
class TileRegisters {
 public:
  explicit TileRegisters(const TileShapes& shapes) {
    seen_by_tiles();
    _tile_loadconfig(&shapes);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

/// Registers of sixteen rows of sixteen lanes.
constexpr TileShapes whole_tiles() {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) {
    shapes.set(tile, kVector, kVector);
  }
  return shapes;
}

}  // namespace asdm::simd::ASDM_SIMD
