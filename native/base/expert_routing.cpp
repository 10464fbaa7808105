#include "native/base/expert_routing.h"

namespace asdm {
namespace {

std::string prefix(std::string_view res_block, ResConvolution convolution) {
  return std::string(res_block) + (convolution == ResConvolution::kConv1 ? ".conv1" : ".conv2");
}

}  // namespace

std::string expert_leaf(std::string_view res_block, ResConvolution convolution, int64_t expert) {
  if (expert > 0) {
    return prefix(res_block, convolution) + "_experts." + std::to_string(expert);
  }
  return std::string(res_block) + (convolution == ResConvolution::kConv1 ? ".in_layers.2" : ".out_layers.3");
}

std::string routing_leaf(std::string_view res_block, ResConvolution convolution) {
  return prefix(res_block, convolution) + "_routing";
}

}  // namespace asdm
