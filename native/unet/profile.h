// Where the time of forward calls goes, by address.
#pragma once

#include <c10/core/Device.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "native/layers/layer_observer.h"

namespace asdm {

/// Sums up the seconds of every part. A part's seconds include those of the parts inside it.
class Profile final : public LayerObserver {
 public:
  struct Entry {
    std::string address;
    int64_t calls = 0;
    double seconds = 0.0;
  };

  /// On a device that computes behind the caller's back, each part waits for it at both ends: the parts then add up,
  /// but the whole is slower than a call that nobody watches.
  explicit Profile(c10::Device device) : device_(device) {}

  void begin(std::string_view name) override;
  void end() override;

  /// In the order in which the parts were first met.
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Open {
    size_t entry;
    Clock::time_point begin;
  };
  [[nodiscard]] Clock::time_point now() const;

  c10::Device device_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> known_;  ///< address -> index into entries_
  std::vector<Open> open_;
};

}  // namespace asdm
