#include "native/inheritance/feature_store.h"

#include <utility>

namespace asdm {

const Slot* FeatureStore::find(const std::string& key) const {
  const auto found = slots_.find(key);
  return found == slots_.end() ? nullptr : &found->second;
}

void FeatureStore::put(const std::string& key, Slot slot) { slots_.insert_or_assign(key, std::move(slot)); }

int64_t FeatureStore::bytes() const {
  int64_t total = 0;
  for (const auto& [key, slot] : slots_) {
    for (const auto& [node, feature] : slot.features) {
      total += static_cast<int64_t>(feature.nbytes());
    }
  }
  return total;
}

}  // namespace asdm
