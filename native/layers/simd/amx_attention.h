// Attention of one tile of queries by the tile registers of AMX.
#pragma once

#include <utility>

#include "native/layers/simd/amx_tile.h"
#include "native/layers/simd/attention_tile.h"

namespace asdm::simd::ASDM_SIMD {

/// As AttentionTile, 32 keys at a time. Tiles multiply beside the vectors if they are asked to early enough: while the
/// scores of some keys become weights, the next keys are scored and a block of keys before them is weighed.
///
/// Weights are powers of two of the difference to a peak that follows the scores only where one is kHeadroom above it:
/// their relative rounding is the same wherever they lie, and what was summed is then seldom scaled anew.
class AmxAttention {
 public:
  static constexpr int64_t kGroup = Bf16::kGroup;
  static constexpr int64_t kSomeKeys = 2 * kVector;  ///< that are scored together: two tiles of rows
  static constexpr int64_t kSomeLanes = kSomeKeys / kGroup;
  static constexpr int64_t kBlockLanes = 4 * kSomeLanes;  ///< of keys that are weighed together
  static constexpr int64_t kKeysBetween = 4;              ///< that are softened after each step of the tiles
  static constexpr int64_t kTileLanes = kVector * kVector;
  static constexpr float kHeadroom = 8.0F;

  static int64_t packed_context_size(int64_t rows, int64_t columns) {
    return round_up(rows, kSomeKeys) * (round_up(columns / kGroup, kVector) + round_up(columns, kVector) / kGroup);
  }

  /// Whole tiles, one after the other: keys [group, lanes / 16, half of the group], then values [group, columns / 16],
  /// by columns. Zeros past the last key and column.
  static void pack_context(const Matrix& keys, const Matrix& values, uint32_t* packed) {
    const int64_t groups = round_up(keys.rows, kSomeKeys) / kSomeKeys;
    const int64_t depth = keys.columns / kGroup;
    uint32_t* to = packed;
    for (int64_t row = 0; row < groups * kSomeKeys; row += kSomeKeys) {
      for (int64_t d = 0; d < depth; d += kVector, to += 2 * kTileLanes) {
        const Mask lanes = first_lanes(depth - d);
        for (int64_t i = 0; i < kSomeKeys; ++i) {
          const auto* from = static_cast<const uint32_t*>(keys.data) + (row + i) * (keys.row_stride / kGroup) + d;
          store_bits(to + i * kVector, load_bits_first(from, row + i < keys.rows ? lanes : first_lanes(0)));
        }
      }
    }
    const auto* elements = static_cast<const uint16_t*>(values.data);
    alignas(64) uint32_t block[kTileLanes];
    for (int64_t row = 0; row < groups * kSomeKeys; row += kSomeKeys) {
      for (int64_t column = 0; column < values.columns; column += kVector, to += kTileLanes) {
        const Mask columns = first_lanes(values.columns - column);
        for (int64_t i = 0; i < kVector; ++i) {
          const int64_t key = row + i * kGroup;
          store_bits(block + i * kVector, Bf16::rows_as_lanes(elements + key * values.row_stride + column,
                                                              values.row_stride, values.rows - key, columns));
        }
        transpose(block, kVector, to, kVector);
      }
    }
  }

  static int64_t scratch_size(int64_t columns) {
    return kPanel *
           (round_up(columns / kGroup, kVector) + 2 * kSomeKeys + 2 * kBlockLanes + round_up(columns, kVector));
  }

  static void attend(const Matrix& queries, const Matrix& keys, const uint32_t* packed, float scale, void* out,
                     int64_t out_stride, float* scratch) {
    AmxAttention tile(queries, keys, packed, scale, scratch);
    tile.run();
    AttentionTile<Bf16>::write(tile.sums_, queries, tile.total_, static_cast<uint16_t*>(out), out_stride);
  }

 private:
  /// Weights that wait to be multiplied with the values of their keys.
  struct Block {
    uint32_t* weights;
    int64_t first = 0;   ///< lane of its first keys
    int64_t lanes = 0;   ///< so far
    int64_t column = 0;  ///< the next to be weighed
  };

  /// A group of keys whose scores become weights.
  struct Softening {
    const float* scores = nullptr;
    uint32_t* weights = nullptr;
    int64_t key = kSomeKeys;  ///< the next
  };

  AmxAttention(const Matrix& queries, const Matrix& keys, const uint32_t* packed, float scale, float* scratch)
      : key_count_(keys.rows),
        groups_(round_up(keys.rows, kSomeKeys) / kSomeKeys),
        depth_(round_up(queries.columns / kGroup, kVector)),
        columns_(round_up(queries.columns, kVector)),
        keys_(packed),
        values_(packed + groups_ * kSomeKeys * depth_),
        factor_(splat(scale * kLog2E)),
        scores_{scratch, scratch + kSomeKeys * kPanel},
        sums_(scratch + 2 * kSomeKeys * kPanel),
        queries_(reinterpret_cast<uint32_t*>(sums_ + columns_ * kPanel)),
        filling_{queries_ + depth_ * kPanel},
        waiting_{filling_.weights + kBlockLanes * kPanel} {
    const int64_t lanes = queries.columns / kGroup;
    pack_panel(static_cast<const uint32_t*>(queries.data), queries.row_stride / kGroup, queries.rows, lanes, queries_);
    std::memset(queries_ + lanes * kPanel, 0, static_cast<size_t>((depth_ - lanes) * kPanel) * sizeof(uint32_t));
    std::memset(sums_, 0, static_cast<size_t>(columns_ * kPanel) * sizeof(float));
  }

  void run() {
    score(0);
    for (int64_t group = 0; group < groups_; ++group) {
      follow(scores_[group % 2]);
      softening_ = {scores_[group % 2], filling_.weights + filling_.lanes * kPanel, 0};
      weigh_some(waiting_, round_up(columns_ * kSomeLanes / kBlockLanes, 2 * kVector));
      if (group + 1 < groups_) {
        score(group + 1);
      }
      soften(kSomeKeys);
      filling_.lanes += kSomeLanes;
      if (filling_.lanes == kBlockLanes) {
        next_block();
      }
    }
    settle();
  }

  /// scores[key] = key . queries for the keys of a group; those past the last weigh nothing.
  void score(int64_t group) {
    float* scores = scores_[group % 2];
    const uint32_t* rows = keys_ + group * kSomeKeys * depth_;
    zero_sums<2>();
    for (int64_t d = 0; d < depth_; d += kVector) {
      multiply_step<2>(rows + d * kSomeKeys, queries_ + d * kPanel);
    }
    store_sums<2>(scores);
    for (int64_t key = key_count_ - group * kSomeKeys; key < kSomeKeys; ++key) {
      store(scores + key * kPanel, splat(kNothing));
      store(scores + key * kPanel + kVector, splat(kNothing));
    }
  }

  /// Sums += whole tiles of rows, one after the other, times sixteen lanes of a panel.
  template <int kTiles>
  void multiply_step(const uint32_t* rows, const uint32_t* panel) {
    multiply_lanes<kTiles>(rows, kTileBytes, rows + kTileLanes, kTileBytes, panel);
    soften(kKeysBetween);
  }

  /// Lets the peak follow these scores where one is too far above it.
  void follow(const float* scores) {
    PerQuery now = peak_;
    PerQuery others[3] = {peak_, peak_, peak_};  // each a chain of its own
    for (int64_t key = 0; key < kSomeKeys; key += 4) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; ++i) {
        PerQuery& chain = i == 0 ? now : others[i - 1];
        chain.part[0] = max(chain.part[0], load(scores + (key + i) * kPanel));
        chain.part[1] = max(chain.part[1], load(scores + (key + i) * kPanel + kVector));
      }
    }
    for (int64_t v = 0; v < 2; ++v) {
      now.part[v] = max(max(now.part[v], others[0].part[v]), max(others[1].part[v], others[2].part[v]));
    }
    const Vec headroom = splat(kHeadroom);
    bool above = false;
    for (int64_t v = 0; v < 2; ++v) {
      above = above || any_above(mul(sub(now.part[v], peak_.part[v]), factor_), headroom);
    }
    if (!above) {
      return;
    }
    settle();
    PerQuery shrink;
    for (int64_t v = 0; v < 2; ++v) {
      shrink.part[v] = exp2(mul(sub(peak_.part[v], now.part[v]), factor_));
      total_.part[v] = mul(total_.part[v], shrink.part[v]);
      shift_.part[v] = mul(now.part[v], factor_);
    }
    for (int64_t i = 0; i < columns_ * kPanel; i += kVector) {
      store(sums_ + i, mul(load(sums_ + i), shrink.part[i / kVector % 2]));
    }
    peak_ = now;
  }

  /// Makes weights of up to `count` more keys of the group that is softened, as a panel of lanes; adds them to the
  /// totals. Tiles multiply meanwhile: hence in between them, and not after.
  void soften(int64_t count) {
    const int64_t last = softening_.key + count < kSomeKeys ? softening_.key + count : kSomeKeys;
    PerQuery total = total_;
    for (; softening_.key < last; softening_.key += kGroup) {
      const float* rows = softening_.scores + softening_.key * kPanel;
#pragma GCC unroll 2
      for (int64_t v = 0; v < 2; ++v) {
        Vec weight[kGroup];
#pragma GCC unroll 2
        for (int64_t i = 0; i < kGroup; ++i) {
          weight[i] = Bf16::exp2(fmsub(load(rows + i * kPanel + v * kVector), factor_, shift_.part[v]));
          total.part[v] = add(total.part[v], weight[i]);
        }
        store_bits(softening_.weights + softening_.key / kGroup * kPanel + v * kVector, Bf16::lanes_of(weight));
      }
    }
    total_ = total;
  }

  /// sums[column] += values[column] . weights of a block, for up to `count` more of its columns.
  void weigh_some(Block& block, int64_t count) {
    if (block.lanes == 0) {
      return;
    }
    const int64_t last = block.column + count < columns_ ? block.column + count : columns_;
    for (; block.column < last; block.column += 2 * kVector) {
      block.column + kVector < columns_ ? weigh<2>(block) : weigh<1>(block);
    }
    if (block.column >= columns_) {
      block.lanes = 0;
    }
  }

  template <int kTiles>
  void weigh(const Block& block) {
    const uint32_t* values = values_ + block.first * columns_ + block.column * kVector;  // of the first keys and column
    float* sums = sums_ + block.column * kPanel;
    load_sums<kTiles>(sums);
    for (int64_t d = 0; d < block.lanes; d += kVector) {
      multiply_step<kTiles>(values + d * columns_, block.weights + d * kPanel);
    }
    store_sums<kTiles>(sums);
  }

  /// Lets a full block wait, and begins the next.
  void next_block() {
    weigh_some(waiting_, columns_);
    const int64_t end = filling_.first + filling_.lanes;
    std::swap(filling_, waiting_);
    filling_ = {filling_.weights, end};
  }

  /// Weighs all that waits.
  void settle() {
    next_block();
    weigh_some(waiting_, columns_);
  }

  int64_t key_count_;
  int64_t groups_;
  int64_t depth_;    ///< lanes of a key, in whole tiles
  int64_t columns_;  ///< of values, in whole tiles
  const uint32_t* keys_;
  const uint32_t* values_;
  Vec factor_;
  float* scores_[2];
  float* sums_;
  uint32_t* queries_;
  Block filling_;
  Block waiting_;
  Softening softening_;
  PerQuery peak_{{splat(kNothing), splat(kNothing)}};
  PerQuery shift_{{zero(), zero()}};
  PerQuery total_{{zero(), zero()}};
  TileRegisters registers_;
};

}  // namespace asdm::simd::ASDM_SIMD
