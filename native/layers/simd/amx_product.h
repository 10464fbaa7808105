// Products of rows and panels by the tile registers of AMX.
#pragma once

#include "native/layers/simd/amx_tile.h"
#include "native/layers/simd/product_tile.h"

namespace asdm::simd::ASDM_SIMD {

/// Rows of pairs as tiles read them: the bytes from row to row, and from the first sixteen lanes to the next.
struct TileRows {
  const char* first;
  int64_t row_stride;
  int64_t to_next;
};

/// Two tiles of rows meet two of a panel at a time, and their sums stay in registers for a whole part. An instruction
/// takes its time for sixteen rows also where there are fewer.
class AmxProduct {
 public:
  static constexpr int64_t kTileRows = kVector;
  static constexpr int64_t kChunk = 2880;  ///< lanes: a panel of 3x3 taps on 640 channels
  static constexpr int64_t kGroupLanes = 4 * kChunk * kPanel / 2;
  static constexpr int64_t kFewPixels = 256;
  static constexpr int64_t kGatheredRows = 2 * kTileRows;

  /// Kernels::multiply.
  static void multiply(const RowsPart& part, const PanelsPart& panels, float* sums, int64_t sums_stride, bool first,
                       uint32_t* scratch) {
    const TileRegisters registers;
    TileRows rows[2][kMostTaps];
    for (int64_t from = 0; from < part.count; from += 2 * kTileRows) {
      const bool two = part.count - from > kTileRows;
      uint32_t* gathered = scratch;
      for (int64_t tap = 0; tap < part.taps; ++tap) {
        const void* const* of_tap = part.rows + tap * part.tap_stride + from;
        rows[0][tap] = tile_rows(of_tap, part, gathered);
        rows[1][tap] = two ? tile_rows(of_tap + kTileRows, part, gathered) : rows[0][tap];
      }
      for (int64_t p = 0; p < panels.count; ++p) {
        float* to = sums + p * sums_stride + from * kPanel;
        const uint32_t* panel = panels.first + p * panels.panel_stride;
        const bool far = part.from_memory && p == 0;
        const auto multiply = !two  ? &multiply_tiles<1, false>
                              : far ? &multiply_tiles<2, true>
                                    : &multiply_tiles<2, false>;
        multiply(rows, part, panel, panels.tap_stride, to, first);
      }
    }
  }

 private:
  static constexpr int64_t kAhead = 8 * kTileBytes;

  /// `kFar`: calls the rows into the first cache, kAhead bytes ahead: the processor foresees one stream, not 32.
  template <int kTiles, bool kFar>
  static void multiply_tiles(const TileRows (&rows)[2][kMostTaps], const RowsPart& part, const uint32_t* panel,
                             int64_t tap_stride, float* sums, bool first) {
    first ? zero_sums<kTiles>() : load_sums<kTiles>(sums);
    for (int64_t tap = 0; tap < part.taps; ++tap, panel += tap_stride) {
      const TileRows& upper = rows[0][tap];
      const TileRows& lower = rows[1][tap];
      const char* high = upper.first;
      const char* low = lower.first;
      for (int64_t d = 0; d < part.depth; d += kVector, high += upper.to_next, low += lower.to_next) {
        multiply_lanes<kTiles>(high, upper.row_stride, low, lower.row_stride, panel + d * kPanel);
        if constexpr (kFar) {
          for (int64_t r = 0; r < kTileRows; ++r) {
            _mm_prefetch(high + kAhead + r * upper.row_stride, _MM_HINT_T0);
            _mm_prefetch(low + kAhead + r * lower.row_stride, _MM_HINT_T0);
          }
        }
      }
    }
    store_sums<kTiles>(sums);
  }

  /// A tile of rows where they lie, or copied to `gathered`, which is then moved on.
  static TileRows tile_rows(const void* const* rows, const RowsPart& part, uint32_t*& gathered) {
    if (part.depth % kVector == 0 && lie_evenly(rows)) {
      return {static_cast<const char*>(rows[0]) + part.offset * kLaneBytes, stride_of(rows), kTileBytes};
    }
    const TileRows copy{reinterpret_cast<const char*>(gathered), kTileBytes, kTileRows * kTileBytes};
    gather(rows, part.offset, part.depth, gathered);
    gathered += kTileRows * round_up(part.depth, kVector);
    return copy;
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

  /// The rows of each sixteen lanes, one below the other, the last ones filled up with zeros.
  static void gather(const void* const* rows, int64_t offset, int64_t depth, uint32_t* to) {
    for (int64_t d = 0; d < depth; d += kVector) {
      const Mask lanes = first_lanes(depth - d);
#pragma GCC unroll 16
      for (int64_t r = 0; r < kTileRows; ++r) {
        const uint32_t* row = static_cast<const uint32_t*>(rows[r]) + offset;
        store_bits(to + (d * kTileRows + r * kVector), load_bits_first(row + d, lanes));
      }
    }
  }
};

}  // namespace asdm::simd::ASDM_SIMD
