// Gives a UNet ME-CondConv, and says what its new leaves start from, so that it begins as the UNet it was. Free of
// torch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/format/unet_spec.h"

namespace asdm {

/// Sites "auto": conv2 of each ResBlock that is left where the stage it belongs to lost something.
inline constexpr std::string_view kAutomaticSites = "auto";

/// What is wanted.
struct MECondConvRequest {
  std::string sites = std::string(kAutomaticSites);  ///< "auto", or addresses such as "in.1.res.conv2"
  ExpertRouting routing = {};
  int64_t seed = 0;  ///< of the perturbations
};

/// What a leaf starts from: the leaf `from` of the teacher or of the UNet itself; or, for a router, zeros and `bias`.
struct LeafStart {
  std::string leaf;
  std::string from;               ///< empty for a router
  bool of_teacher = false;        ///< `from` is the teacher's
  double perturbation = 0.0;      ///< noise added to the weight, in standard deviations of it
  int64_t seed = 0;               ///< of that noise
  std::vector<double> bias = {};  ///< of a router
  /// Of expert 0: what the router gives each expert at the start, and the leaves of those beside it. It is set to what
  /// makes the experts, so weighted, sum to `from`.
  std::vector<double> shares = {};
  std::vector<std::string> beside = {};
};

struct MECondConvStart {
  UNetSpec spec;                  ///< that of the UNet with its new sites
  std::vector<LeafStart> leaves;  ///< those that are new, and expert 0 of each site behind its others
};

/// The spec `student` with the sites of `request` added, and how their leaves start. Expert 0 has the leaf of the
/// convolution that was there. The next ones are those of the same stage (one way through the UNet at one resolution)
/// that `teacher` has and `student` lacks, the nearest first, where the shape fits: the second convolution of a
/// ResBlock always does. What is left of the experts is the convolution that was there, slightly perturbed. The paper
/// (arXiv 2406.00210) says that the convolutions of pruned blocks are inherited, not which of them.
///
/// Routers start with R = 0 and a bias c that gives the experts beside expert 0 a quarter together: enough for
/// gradients to reach them. Expert 0 starts as (W - sum_e r_e W_e) / r_0, so that the mixed kernel is the W that was
/// there.
///
/// Throws Error for a site that is unknown, removed or ME-CondConv already, for "auto" in a UNet that lacks nothing,
/// and for a teacher of another architecture.
[[nodiscard]] MECondConvStart start_me_cond_conv(const UNetSpec& student, const UNetSpec& teacher,
                                                 const MECondConvRequest& request);

}  // namespace asdm
