// Matrix products of bf16 by the tile registers of AMX.
#pragma once

#include <immintrin.h>

#include "native/layers/simd/attention_tile.h"
#include "native/layers/simd/product_tile.h"

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

/// Registers 0 and 1 for two tiles of sums of `height` rows, 2 for rows of that many, 3 and 4 for two tiles of a panel;
/// 5, 6 and 7 as 2, 3 and 4 for the last `rest` lanes.
class Tiles {
 public:
  Tiles(int64_t height, int64_t rest) : registers_(shapes_of(height, rest)) {}

  /// sums[row][j] (+)= the sum over `depth` lanes of rows[row][d] * panel[d][j], sums [height, 32].
  static void multiply(const TileRows& rows, const uint32_t* panel, int64_t depth, float* sums, bool first) {
    seen_by_tiles();
    if (first) {
      _tile_zero(0);
      _tile_zero(1);
    } else {
      _tile_loadd(0, sums, kPanelBytes);
      _tile_loadd(1, sums + kVector, kPanelBytes);
    }
    const char* lanes = rows.first;
    int64_t d = 0;
    for (; d + kVector <= depth; d += kVector, lanes += rows.to_next) {
      _tile_loadd(2, lanes, rows.row_stride);
      _tile_loadd(3, panel + d * kPanel, kPanelBytes);
      _tile_loadd(4, panel + d * kPanel + kVector, kPanelBytes);
      _tile_dpbf16ps(0, 2, 3);
      _tile_dpbf16ps(1, 2, 4);
    }
    if (d < depth) {
      _tile_loadd(5, lanes, rows.row_stride);
      _tile_loadd(6, panel + d * kPanel, kPanelBytes);
      _tile_loadd(7, panel + d * kPanel + kVector, kPanelBytes);
      _tile_dpbf16ps(0, 5, 6);
      _tile_dpbf16ps(1, 5, 7);
    }
    _tile_stored(0, sums, kPanelBytes);
    _tile_stored(1, sums + kVector, kPanelBytes);
  }

 private:
  static TileShapes shapes_of(int64_t height, int64_t rest) {
    TileShapes shapes;
    for (int tile = 0; tile < 3; ++tile) {
      shapes.set(tile, height, kVector);
    }
    shapes.set(3, kVector, kVector);
    shapes.set(4, kVector, kVector);
    if (rest > 0) {
      shapes.set(5, height, rest);
      shapes.set(6, rest, kVector);
      shapes.set(7, rest, kVector);
    }
    return shapes;
  }

  TileRegisters registers_;
};

/// Two tiles of rows at once, whose panel is then loaded once: registers 0 to 3 for the sums, 4 and 5 for the rows, 6
/// and 7 for a panel.
class TilePair {
 public:
  TilePair() : registers_(shapes()) {}

  /// Tiles::multiply for [2 * kTileRows, 32] sums; `depth` of whole tiles.
  static void multiply(const TileRows& upper, const TileRows& lower, const uint32_t* panel, int64_t depth, float* sums,
                       bool first) {
    seen_by_tiles();
    float* below = sums + kTileRows * kPanel;
    if (first) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    } else {
      _tile_loadd(0, sums, kPanelBytes);
      _tile_loadd(1, sums + kVector, kPanelBytes);
      _tile_loadd(2, below, kPanelBytes);
      _tile_loadd(3, below + kVector, kPanelBytes);
    }
    for (int64_t d = 0; d < depth; d += kVector) {
      _tile_loadd(4, upper.first + d / kVector * upper.to_next, upper.row_stride);
      _tile_loadd(6, panel + d * kPanel, kPanelBytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, panel + d * kPanel + kVector, kPanelBytes);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, lower.first + d / kVector * lower.to_next, lower.row_stride);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, kPanelBytes);
    _tile_stored(1, sums + kVector, kPanelBytes);
    _tile_stored(2, below, kPanelBytes);
    _tile_stored(3, below + kVector, kPanelBytes);
  }

 private:
  static TileShapes shapes() {
    TileShapes shapes;
    for (int tile = 0; tile < 8; ++tile) {
      shapes.set(tile, tile < 6 ? kTileRows : kVector, kVector);
    }
    return shapes;
  }

  TileRegisters registers_;
};

class AmxProduct {
 public:
  static constexpr int64_t kChunk = 160;  ///< measured best of 160, 320 and 640
  static constexpr int64_t kTilesAtOnce = 2;

  /// Kernels::multiply_rows.
  static void multiply_rows(const void* const* rows, int64_t count, int64_t offset, const uint32_t* panel,
                            int64_t depth, float* sums, bool first) {
    alignas(64) uint32_t gathered[kTilesAtOnce * kTileRows * kChunk];
    if (count > kTileRows && depth % kVector == 0) {
      const TileRows upper = tile_rows(rows, offset, depth, gathered);
      const TileRows lower = tile_rows(rows + kTileRows, offset, depth, gathered + kTileRows * kChunk);
      const TilePair tiles;
      tiles.multiply(upper, lower, panel, depth, sums, first);
      return;
    }
    const Tiles tiles(kTileRows, depth % kVector);
    for (int64_t from = 0; from < count; from += kTileRows) {
      tiles.multiply(tile_rows(rows + from, offset, depth, gathered), panel, depth, sums + from * kPanel, first);
    }
  }

 private:
  /// Where they lie, or in `gathered`.
  static TileRows tile_rows(const void* const* rows, int64_t offset, int64_t depth, uint32_t* gathered) {
    if (lie_evenly(rows)) {
      return {static_cast<const char*>(rows[0]) + offset * kLaneBytes, stride_of(rows), kTileBytes};
    }
    gather(rows, offset, depth, gathered);
    return {reinterpret_cast<const char*>(gathered), kTileBytes, kTileRows * kTileBytes};
  }

  static int64_t stride_of(const void* const* rows) {
    return static_cast<const char*>(rows[1]) - static_cast<const char*>(rows[0]);
  }

  static bool lie_evenly(const void* const* rows) {
    const int64_t stride = stride_of(rows);
    bool even = true;
    for (int64_t r = 2; r < kTileRows; ++r) {
      even = even && static_cast<const char*>(rows[r]) - static_cast<const char*>(rows[r - 1]) == stride;
    }
    return even;
  }

  /// The rows of each sixteen lanes, one below the other.
  static void gather(const void* const* rows, int64_t offset, int64_t depth, uint32_t* to) {
    for (int64_t r = 0; r < kTileRows; ++r) {
      const uint32_t* row = static_cast<const uint32_t*>(rows[r]) + offset;
      for (int64_t d = 0; d < depth; d += kVector) {
        const Mask lanes = first_lanes(depth - d);
        store_bits(to + (d * kTileRows + r * kVector), load_bits_first(row + d, lanes));
      }
    }
  }
};

/// The sums of products of attention.
class AmxDots {
 public:
  static constexpr int64_t kKeyBlock = 256;
  static constexpr int64_t kKeysAtOnce = 2 * kVector;  ///< so that their pairs fill a tile
  static constexpr int64_t kColumnsAtOnce = kVector;

  explicit AmxDots(int64_t depth) : tiles_(kVector, depth % kVector) {}

  void score(const uint32_t* keys, int64_t stride, const uint32_t* queries, int64_t depth, float* scores,
             PerQuery& peak) const {
    for (int64_t key = 0; key < kKeysAtOnce; key += kVector) {
      tiles_.multiply(evenly(keys + key * stride, stride), queries, depth, scores + key * kPanel, true);
    }
    for (int64_t key = 0; key < kKeysAtOnce; ++key) {
#pragma GCC unroll 2
      for (int64_t v = 0; v < kPanel / kVector; ++v) {
        peak.part[v] = max(peak.part[v], load(scores + key * kPanel + v * kVector));
      }
    }
  }

  void weigh(const uint32_t* values, int64_t stride, int64_t columns, const uint32_t* weights, int64_t depth,
             const PerQuery& shrink, float* sums) const {
    for (int64_t column = 0; column < columns; column += kVector) {
      float* of_columns = sums + column * kPanel;
      for (int64_t i = 0; i < kVector * kPanel; i += kVector) {
        store(of_columns + i, mul(load(of_columns + i), shrink.part[i / kVector % 2]));
      }
      tiles_.multiply(evenly(values + column * stride, stride), weights, depth, of_columns, false);
    }
  }

 private:
  Tiles tiles_;
};

}  // namespace asdm::simd::ASDM_SIMD
