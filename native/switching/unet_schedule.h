// Which UNet of a chain makes which evaluations of a sampling run: small ones early, where noise hides what they lose,
// the large one late (A-SDM's multi-UNet switching). Decided by sigma, so that it is right for every sampler.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace asdm {

/// One UNet of a chain.
struct UNetShare {
  int64_t unet = 0;    ///< its number among the UNets of the chain
  double until = 1.0;  ///< the share of the run's steps, 0..1, after which the next one follows; 1 for the last
  bool operator==(const UNetShare&) const = default;
};

/// The chain in which `early` runs for the first `share` (0..1) of the steps and `late` for the others. Both may be
/// chains; all shares are of the whole run, so UNets of `early` due after `share` never run, and UNets of `late` due
/// before it give way. The UNets of `late` are numbered after the `early_unets` of `early`.
/// Throws Error where a share is no number in 0..1, or a chain does not rise to 1.
[[nodiscard]] std::vector<UNetShare> switched_chain(const std::vector<UNetShare>& early, int64_t early_unets,
                                                    const std::vector<UNetShare>& late, double share);

/// A chain on the schedule of one run.
class UNetSchedule {
 public:
  /// `sigmas`: the run's schedule, falling, its last entry the end of the last step, so image-to-image and split runs
  /// bring their own part. A share that falls inside a step is moved to the nearest step. Throws Error as above.
  UNetSchedule(std::vector<UNetShare> chain, std::vector<double> sigmas);

  /// The position in the chain of the UNet that evaluates at `sigma`. Where sigma rises again, so may be an earlier
  /// one.
  [[nodiscard]] int64_t at(double sigma) const;
  /// The first and last entry of the schedule between which the UNet at `position` runs; equal where it makes no step.
  [[nodiscard]] std::pair<int64_t, int64_t> steps(int64_t position) const;

 private:
  std::vector<double> sigmas_;
  std::vector<int64_t> ends_;  ///< for each UNet the entry of the schedule at which it ends
};

}  // namespace asdm
