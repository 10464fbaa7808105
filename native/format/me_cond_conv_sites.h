// Where a UNet can have ME-CondConv: the 3x3 convolutions of its ResBlocks, by address.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/format/unet_layout.h"

namespace asdm {

/// One convolution of a ResBlock.
struct ResSite {
  std::string address;  ///< "in.1.res.conv2"
  BlockKind kind = BlockKind::kInput;
  int64_t number = 0;  ///< of its block
  int64_t level = 0;   ///< of its block
  LayerLayout res_block;
  ResConvolution convolution = ResConvolution::kConv1;

  [[nodiscard]] int64_t in_channels() const {
    return convolution == ResConvolution::kConv1 ? res_block.in_channels : res_block.out_channels;
  }
};

/// All of them, in evaluation order.
[[nodiscard]] std::vector<ResSite> res_sites(const UNetLayout& layout);

/// Their addresses.
[[nodiscard]] std::vector<std::string> addresses_of(const std::vector<ResSite>& sites);

/// The site in `spec` that `address` names. Throws Error at `where` for an unknown address, which lists the known, and
/// for one that the UNet lacks.
[[nodiscard]] ResSite find_res_site(const UNetSpec& spec, const std::string& address, std::string_view where);

/// Throws Error at `where` for a number of experts or a temperature without sense.
void check_routing(const std::string& where, const ExpertRouting& routing);

/// Throws Error where `spec.me_cond_conv` names what is no site of it, or has settings without sense. Expects the other
/// fields to be valid.
void check_me_cond_conv(const UNetSpec& spec);

}  // namespace asdm
