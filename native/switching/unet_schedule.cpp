#include "native/switching/unet_schedule.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "native/base/error.h"
#include "native/base/words.h"
#include "native/inheritance/evaluation_point.h"

namespace asdm {
namespace {

void check_share(double share) {
  if (!(share >= 0.0 && share <= 1.0)) {
    throw invalid_input("switching share", "a number in 0..1", number_text(share));
  }
}

void check_chain(const std::vector<UNetShare>& chain) {
  double before = 0.0;
  for (const UNetShare& entry : chain) {
    check_share(entry.until);
    if (entry.until < before) {
      throw invalid_input("switching chain", "shares that rise", number_text(entry.until));
    }
    before = entry.until;
  }
  if (before != 1.0) {
    throw invalid_input("switching chain", "UNets until share 1", number_text(before));
  }
}

}  // namespace

std::vector<UNetShare> switched_chain(const std::vector<UNetShare>& early, int64_t early_unets,
                                      const std::vector<UNetShare>& late, double share) {
  check_chain(early);
  check_chain(late);
  check_share(share);
  std::vector<UNetShare> chain;
  double done = 0.0;
  for (const UNetShare& entry : early) {
    const double until = std::min(entry.until, share);
    if (until > done) {
      chain.push_back({entry.unet, until});
      done = until;
    }
  }
  for (const UNetShare& entry : late) {
    if (entry.until > done) {
      chain.push_back({early_unets + entry.unet, entry.until});
      done = entry.until;
    }
  }
  return chain;
}

UNetSchedule::UNetSchedule(std::vector<UNetShare> chain, std::vector<double> sigmas) : sigmas_(std::move(sigmas)) {
  check_chain(chain);
  const int64_t steps = std::max<int64_t>(static_cast<int64_t>(sigmas_.size()) - 1, 0);
  for (const UNetShare& entry : chain) {
    ends_.push_back(std::llround(entry.until * static_cast<double>(steps)));
  }
}

int64_t UNetSchedule::at(double sigma) const {
  const auto last = static_cast<int64_t>(ends_.size()) - 1;
  const auto final_step = static_cast<int64_t>(sigmas_.size()) - 1;
  for (int64_t position = 0; position < last; ++position) {
    const int64_t end = ends_[static_cast<size_t>(position)];
    // A UNet that ends with the run also has what samplers evaluate at or below the last sigma.
    const bool whole = end == final_step && end > 0;
    if (end > 0 && (whole || sigma > sigmas_[static_cast<size_t>(end)] * (1.0 + kSigmaMargin))) {
      return position;
    }
  }
  return last;
}

std::pair<int64_t, int64_t> UNetSchedule::steps(int64_t position) const {
  const int64_t end = ends_.at(static_cast<size_t>(position));
  return {position == 0 ? 0 : ends_.at(static_cast<size_t>(position - 1)), end};
}

}  // namespace asdm
