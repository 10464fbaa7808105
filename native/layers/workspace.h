// Memory that one UNet uses again and again: fresh pages from the system cost more than many a layer does.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace asdm {

/// Hands out uninitialised CPU tensors and takes their memory back when the last reference to them goes. Other devices
/// have such a cache of their own. Safe to use from several threads.
class Workspace {
 public:
  /// Like at::empty.
  at::Tensor empty(at::IntArrayRef sizes, const at::TensorOptions& options,
                   at::MemoryFormat format = at::MemoryFormat::Contiguous);
  /// `count` 32-bit lanes of scratch, to be let go before the layer ends.
  at::Tensor lanes(int64_t count);
  /// Gives what is not in use back to the system.
  void release();
  /// Bytes held, in use or not.
  [[nodiscard]] int64_t bytes() const;

 private:
  c10::Storage block_of(size_t bytes);
  c10::Storage scratch_of(size_t bytes);

  mutable std::mutex mutex_;
  /// By exact size in bytes: what is kept of a tensor, such as a stored feature, then takes no more than it says.
  std::unordered_map<size_t, std::vector<c10::Storage>> blocks_;
  /// Of any size: as many as are needed at a time, each as large as was ever asked for.
  std::vector<c10::Storage> scratch_;
};

}  // namespace asdm
