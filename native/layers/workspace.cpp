#include "native/layers/workspace.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

namespace asdm {
namespace {

constexpr size_t kSmallest = size_t{1} << 16U;  // below, the system's own allocator keeps the memory at hand
constexpr size_t kPage = 4096;

c10::Storage allocate(size_t bytes) { return at::empty({static_cast<int64_t>(bytes)}, at::kByte).storage(); }

bool is_free(const c10::Storage& block) { return block.use_count() == 1; }

}  // namespace

c10::Storage Workspace::block_of(size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::vector<c10::Storage>& blocks = blocks_[bytes];
  const auto found = std::find_if(blocks.begin(), blocks.end(), is_free);
  return found != blocks.end() ? *found : blocks.emplace_back(allocate(bytes));
}

c10::Storage Workspace::scratch_of(size_t bytes) {
  const std::lock_guard lock(mutex_);
  c10::Storage* best = nullptr;  // the smallest that fits, else the largest that does not
  for (c10::Storage& one : scratch_) {
    if (!is_free(one)) {
      continue;
    }
    const bool fits = one.nbytes() >= bytes;
    const bool best_fits = best != nullptr && best->nbytes() >= bytes;
    if (best == nullptr ||
        (fits ? !best_fits || one.nbytes() < best->nbytes() : !best_fits && one.nbytes() > best->nbytes())) {
      best = &one;
    }
  }
  if (best == nullptr) {
    return scratch_.emplace_back(allocate(bytes));
  }
  if (best->nbytes() < bytes) {
    *best = allocate(bytes);
  }
  return *best;
}

at::Tensor Workspace::empty(at::IntArrayRef sizes, const at::TensorOptions& options, at::MemoryFormat format) {
  const size_t wanted = static_cast<size_t>(c10::multiply_integers(sizes)) * options.dtype().itemsize();
  if (!options.device().is_cpu() || wanted < kSmallest) {
    return at::empty(sizes, options, format);
  }
  const c10::Storage block = block_of((wanted + kPage - 1) / kPage * kPage);
  void* data = block.mutable_data();
  const auto keep = [block](void*) {};
  return format == at::MemoryFormat::ChannelsLast
             ? at::from_blob(data, sizes, c10::get_channels_last_strides_2d(sizes), keep, options)
             : at::from_blob(data, sizes, keep, options);
}

at::Tensor Workspace::lanes(int64_t count) {
  const size_t wanted = static_cast<size_t>(count) * sizeof(int32_t);
  if (wanted < kSmallest) {
    return at::empty({count}, at::kInt);
  }
  const c10::Storage block = scratch_of(wanted);
  return at::from_blob(block.mutable_data(), {count}, [block](void*) {}, at::TensorOptions(at::kInt));
}

void Workspace::release() {
  const std::lock_guard lock(mutex_);
  for (auto& [size, blocks] : blocks_) {
    std::erase_if(blocks, is_free);
  }
  std::erase_if(scratch_, is_free);
}

int64_t Workspace::bytes() const {
  const std::lock_guard lock(mutex_);
  size_t total = 0;
  for (const auto& [size, blocks] : blocks_) {
    total += size * blocks.size();
  }
  for (const c10::Storage& block : scratch_) {
    total += block.nbytes();
  }
  return static_cast<int64_t>(total);
}

}  // namespace asdm
