// ME-CondConv, a convolution whose kernel several experts make up for each sample (A-SDM, arXiv 2406.00210; CondConv,
// arXiv 1904.04971): its settings, and what its leaves are called.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace asdm {

/// How shares become of the router's values.
enum class RoutingForm { kSoftmax, kSigmoid };
/// What the router reads.
enum class RoutingSource {
  kInput,        ///< the mean of each sample's input over its pixels
  kInputShared,  ///< the mean of these over the batch, so that cond and uncond have one kernel
  kTime,         ///< the time embedding
};

inline constexpr std::array<std::pair<const char*, RoutingForm>, 2> kRoutingForms = {
    {{"softmax", RoutingForm::kSoftmax}, {"sigmoid", RoutingForm::kSigmoid}}};
inline constexpr std::array<std::pair<const char*, RoutingSource>, 3> kRoutingSources = {
    {{"input", RoutingSource::kInput}, {"input_shared", RoutingSource::kInputShared}, {"time", RoutingSource::kTime}}};

/// shares = form((R s + c) / temperature), with s what `source` says.
struct ExpertRouting {
  int64_t experts = 2;
  RoutingForm form = RoutingForm::kSoftmax;
  RoutingSource source = RoutingSource::kInput;
  double temperature = 1.0;

  bool operator==(const ExpertRouting&) const = default;
};

/// A ResBlock's convolutions: the first, which may change the number of channels, and the second, which does not.
enum class ResConvolution { kConv1, kConv2 };
inline constexpr std::array<std::pair<const char*, ResConvolution>, 2> kResConvolutions = {
    {{"conv1", ResConvolution::kConv1}, {"conv2", ResConvolution::kConv2}}};

/// Leaves of a convolution in the ResBlock with the checkpoint prefix `res_block`. Expert 0 is the convolution under
/// its old name, so that LoRA for it finds it. The others stand beside it, not in it: the host skips modules that have
/// both weights and children.
[[nodiscard]] std::string expert_leaf(std::string_view res_block, ResConvolution convolution, int64_t expert);
[[nodiscard]] std::string routing_leaf(std::string_view res_block, ResConvolution convolution);

}  // namespace asdm
