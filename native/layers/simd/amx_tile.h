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

/// Rows of pairs as tiles read them: the bytes from row to row, and from the first sixteen lanes to the next.
struct TileRows {
  const char* first;
  int64_t row_stride;
  int64_t to_next;
};

inline TileRows evenly(const uint32_t* rows, int64_t stride) {
  return {reinterpret_cast<const char*>(rows), stride * kLaneBytes, kTileBytes};
}

}  // namespace asdm::simd::ASDM_SIMD
