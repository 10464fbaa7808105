#include "native/unet/profile.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace asdm {

Profile::Clock::time_point Profile::now() const {
  if (!device_.is_cpu()) {
    const c10::impl::VirtualGuardImpl guard(device_.type());
    guard.synchronizeDevice(device_.has_index() ? device_.index() : guard.getDevice().index());
  }
  return Clock::now();
}

void Profile::begin(std::string_view name) {
  std::string address(name);
  if (!open_.empty()) {
    address.insert(0, entries_[open_.back().entry].address + ".");
  }
  const auto [found, fresh] = known_.try_emplace(address, entries_.size());
  if (fresh) {
    entries_.push_back({.address = std::move(address)});
  }
  open_.push_back({.entry = found->second, .begin = now()});
}

void Profile::end() {
  Entry& entry = entries_[open_.back().entry];
  entry.seconds += std::chrono::duration<double>(now() - open_.back().begin).count();
  ++entry.calls;
  open_.pop_back();
}

}  // namespace asdm
