// The sums of products of attention by the tile registers of AMX.
#pragma once

#include "native/layers/simd/amx_tile.h"
#include "native/layers/simd/attention_tile.h"

namespace asdm::simd::ASDM_SIMD {

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
