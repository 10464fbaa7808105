// Features of earlier evaluations, kept per cond chunk.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include <ATen/core/Tensor.h>

namespace asdm {

/// Index of a node of the UNet graph (see native/unet/address.h).
using NodeId = int64_t;

/// Height and width of a node's input.
struct SpatialSize {
  int64_t height = 0;
  int64_t width = 0;
  bool operator==(const SpatialSize&) const = default;
};

/// The features of one cond chunk, taken at one full evaluation.
struct Slot {
  double sigma = 0.0;
  int64_t evaluation = 0;  ///< index in the run, counted in model evaluations
  std::map<NodeId, at::Tensor> features;  ///< each [rows, channels, height, width]
  std::map<NodeId, SpatialSize> entered;  ///< what entered each node then; hooks may resize it from call to call
};

/// Slots by chunk key. A key names everything that must agree for a feature to be reusable.
class FeatureStore {
 public:
  /// The slot of `key`, or nullptr.
  [[nodiscard]] const Slot* find(const std::string& key) const;
  /// Replaces the slot of `key`.
  void put(const std::string& key, Slot slot);
  void clear() { slots_.clear(); }
  [[nodiscard]] int64_t bytes() const;

 private:
  std::unordered_map<std::string, Slot> slots_;
};

}  // namespace asdm
