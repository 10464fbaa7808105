// Multiply-accumulates of a UNet, block by block; the measure behind "share of the UNet computed".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/unet/topology.h"

namespace asdm {

/// Multiply-accumulates of each block (index = node id) for one sample of a latent `height` x `width` with `tokens`
/// context tokens: convolutions, linears and both attention products. Norms, activations and embeddings are left out.
[[nodiscard]] std::vector<int64_t> block_macs(const Topology& topology, int64_t height, int64_t width,
                                              int64_t tokens);

struct AddressCost {
  std::string address;
  int64_t macs = 0;
};

/// The same for every address, in the order of all_addresses: a block's include its layers', a layer's its units'.
[[nodiscard]] std::vector<AddressCost> address_macs(const Topology& topology, int64_t height, int64_t width,
                                                    int64_t tokens);

/// The final convolution, always run.
[[nodiscard]] int64_t output_macs(const Topology& topology, int64_t out_channels, int64_t height, int64_t width);

}  // namespace asdm
