// What the processor can do, and what the system must be asked for before it may: one file for each system.
#pragma once

namespace asdm {

/// Instructions that the processor has and for whose registers the system cares.
struct Processor {
  bool avx2;         ///< and FMA
  bool avx512;       ///< F, BW and VL
  bool avx512_bf16;  ///< where avx512 is there
  bool amx_bf16;     ///< of the processor alone: see grants_tiles()
};

[[nodiscard]] Processor this_processor();

/// Asks the system to keep the tile registers of AMX for this process; false where it does not.
[[nodiscard]] bool grants_tiles();

}  // namespace asdm
