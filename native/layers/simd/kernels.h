// Kernels for processors with AVX-512 or AVX2 in fp32, and with AVX512-BF16 or AMX besides in bf16. Plain pointers:
// what implements this is compiled for processors that not every user has, so no inline function of another library may
// be emitted from it.
#pragma once

#include <cstdint>

namespace asdm::simd {

/// Queries that one call of `attend_tile` handles.
inline constexpr int64_t kTileQueries = 32;

/// The most rows that a tile has.
inline constexpr int64_t kMostTileRows = 16;

/// A [rows, columns] matrix whose columns lie together; elements are fp32, or bf16 as raw bits.
struct Matrix {
  const void* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;     ///< a multiple of `Kernels::group`
  int64_t row_stride = 0;  ///< elements
};

/// Columns of output that one packed panel of weights holds.
inline constexpr int64_t kPanelColumns = 32;
inline constexpr int64_t kHalfPanel = kPanelColumns / 2;

/// Output channels of one half of a panel, at most 16.
struct PanelHalf {
  int64_t first = 0;
  int64_t count = 0;
};

/// The weights a panel is packed from: one as it lies, or experts of which each of `kernels` kernels is a sum.
struct PanelWeights {
  const void* const* experts = nullptr;  ///< [outputs, channels, taps] contiguous, each
  int64_t expert_count = 1;
  const float* shares = nullptr;  ///< [kernels, expert_count]; null where there is one weight and so one kernel
  int64_t kernels = 1;
  PanelHalf halves[2];
};

/// Where the panels of the kernels lie, `stride` lanes apart, at whole cache lines. All but the first kernel's are
/// taken to be read later.
struct Panels {
  uint32_t* first = nullptr;
  int64_t stride = 0;
};

/// The most taps that are multiplied at a time.
inline constexpr int64_t kMostTaps = 9;

/// A part of the depth of a product: the same lanes of some taps. Rows of its left side, a pointer for each (tap, row).
struct RowsPart {
  const void* const* rows = nullptr;  ///< of the first tap; whole tiles, all readable
  int64_t tap_stride = 0;             ///< pointers from tap to tap
  int64_t taps = 1;                   ///< at most kMostTaps
  int64_t count = 0;                  ///< rows, of which at least the sums are made
  int64_t offset = 0;                 ///< of the part's first lane in each row
  int64_t depth = 0;                  ///< lanes of each tap, at most `Kernels::chunk` of all taps together
  bool from_memory = false;           ///< no cache holds them yet, and none but these panels meets them
};

/// The same part of packed panels.
struct PanelsPart {
  const uint32_t* first = nullptr;
  int64_t tap_stride = 0;    ///< lanes from tap to tap
  int64_t panel_stride = 0;  ///< lanes from panel to panel
  int64_t count = 1;
};

/// What becomes of rows of sums. Pointers at the panel's first column; null = none.
struct FinishRows {
  void* out = nullptr;
  int64_t out_stride = 0;            ///< bytes from row to row
  const float* bias = nullptr;       ///< of all rows
  const float* gate_bias = nullptr;  ///< gated panels only
  const void* residual = nullptr;    ///< as `out` lies
  int64_t count = 0;
  int64_t columns = 0;
};

/// What becomes of one output of a Winograd tile. Pointers at the panel's first column; null = none.
struct FilteredPixel {
  float* out = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
};

/// Winograd F(side x side, 3x3), whose tiles have (side + 2)^2 positions, row by row; fp32 only, channels a multiple of
/// 16.
struct WinogradKernels {
  int64_t side = 0;  ///< 0 where there are none
  /// out[position * position_stride + c]: the transform of a patch of as many pixels.
  void (*inputs)(const void* const* pixels, int64_t channels, float* out, int64_t position_stride) = nullptr;
  /// Transformed weights of 32 output channels as panels of [positions, channels] rows of 32 lanes, one for each
  /// kernel; a half has 16 or none.
  void (*weights)(const PanelWeights& weights, int64_t channels, const Panels& panels) = nullptr;
  /// The outputs, row by row, of a tile whose sums lie `position_stride` apart. A null `out` is left out.
  void (*outputs)(const float* sums, int64_t position_stride, const FilteredPixel* pixels, int64_t columns) = nullptr;

  [[nodiscard]] int64_t width() const { return side + 2; }
  [[nodiscard]] int64_t positions() const { return width() * width(); }
};

/// The kernels of one dtype. Packed operands are counted in lanes of 32 bits: fp32 values, or `group` neighbours.
struct Kernels {
  int64_t group;          ///< elements in a lane: 1 for fp32, 2 for bf16
  int64_t element_size;   ///< bytes
  int64_t tile_rows;      ///< rows of a tile
  int64_t depth_step;     ///< of the lanes of a tap in a panel: more than it has are zeros
  int64_t chunk;          ///< lanes of a panel, of all taps together, that are best multiplied at a time
  int64_t group_lanes;    ///< lanes of panels that the second cache holds beside what they are multiplied with
  int64_t few_tokens;     ///< up to so many, packing them and not a linear's weights is faster
  int64_t few_pixels;     ///< the same of a convolution's outputs
  int64_t gathered_rows;  ///< rows of a chunk that `multiply` needs scratch for

  /// What attend_tile wants of keys and values [rows, columns] besides the keys as they lie; and the lanes that takes.
  void (*pack_context)(const Matrix& keys, const Matrix& values, uint32_t* packed);
  int64_t (*packed_context_size)(int64_t rows, int64_t columns);
  /// Floats of scratch that `attend_tile` needs.
  int64_t (*attention_scratch_size)(int64_t columns);
  /// out = softmax(scale * q K^T) V for at most kTileQueries rows of queries, with a running softmax over blocks of
  /// keys. `out` has the rows, the columns and the dtype of `queries`, row stride `out_stride`.
  void (*attend_tile)(const Matrix& queries, const Matrix& keys, const uint32_t* packed, float scale, void* out,
                      int64_t out_stride, float* scratch);

  /// out = the sum of shares[i] * parts[i] over `count` parts of `length` elements, which begin `offset` elements in.
  void (*mix)(const void* const* parts, int64_t offset, const float* shares, int64_t count, int64_t length, void* out);

  /// Lanes of scratch that `pack_panel` needs.
  int64_t (*packing_scratch)(int64_t taps);
  /// Weights of 32 output channels as panels of [taps, channels / group to a whole depth_step] rows of 32 lanes, one
  /// for each kernel.
  void (*pack_panel)(const PanelWeights& weights, int64_t channels, int64_t taps, const Panels& panels,
                     uint32_t* scratch);
  /// sums[p][r][j] (+)= the sum over taps and lanes of the part of rows[tap][r][offset + d] * panel p[tap][d][j]; sums
  /// [panels, rows of whole tiles, 32], `sums_stride` floats from panel to panel. `first`: they start at 0.
  void (*multiply)(const RowsPart& rows, const PanelsPart& panels, float* sums, int64_t sums_stride, bool first,
                   uint32_t* scratch);
  /// out = sums + bias + residual; sums [count, 32].
  void (*finish)(const float* sums, const FinishRows& rows);
  /// out = sums, as fp32.
  void (*finish_wide)(const float* sums, const FinishRows& rows);
  /// GEGLU: out = (a + bias) * gelu(g + gate_bias), a in the first half of the panel, g in the second.
  void (*finish_gated)(const float* sums, const FinishRows& rows);

  WinogradKernels small_winograd;  ///< F(2x2, 3x3)
  WinogradKernels large_winograd;  ///< F(4x4, 3x3)

  /// sums and squares [channels] of x - pivot over `pixels` pixels of x [pixels, channels].
  void (*channel_sums)(const void* x, int64_t pixels, int64_t channels, const float* pivot, float* sums,
                       float* squares);
  /// out = x * scale + shift per channel, through SiLU or not; x and out [pixels, channels].
  void (*scale_shift)(const void* x, void* out, int64_t pixels, int64_t channels, const float* scale,
                      const float* shift, bool with_silu);
};

namespace avx512 {
/// Needs AVX512F, BW and VL.
const Kernels& fp32_kernels();
/// Needs AVX512DQ and AVX512-BF16 besides.
const Kernels& bf16_kernels();
}  // namespace avx512

namespace amx {
/// Needs AMX-TILE and AMX-BF16 besides, and the system's leave to use them.
const Kernels& bf16_kernels();
}  // namespace amx

namespace avx2 {
/// Needs AVX2 and FMA.
const Kernels& fp32_kernels();
}  // namespace avx2

}  // namespace asdm::simd
