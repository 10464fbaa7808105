#include "native/layers/workspace.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

namespace asdm {
namespace {

constexpr size_t kSmallest = size_t{1} << 16U;  // below, the system's own allocator keeps the memory at hand
constexpr size_t kPage = 4096;

}  // namespace

at::Tensor Workspace::empty(at::IntArrayRef sizes, const at::TensorOptions& options, at::MemoryFormat format) {
  const int64_t count = c10::multiply_integers(sizes);
  const size_t wanted = static_cast<size_t>(count) * options.dtype().itemsize();
  if (!options.device().is_cpu() || wanted < kSmallest) {
    return at::empty(sizes, options, format);
  }
  const size_t size = (wanted + kPage - 1) / kPage * kPage;
  c10::Storage block;
  {
    const std::lock_guard lock(mutex_);
    std::vector<c10::Storage>& blocks = blocks_[size];
    for (const c10::Storage& one : blocks) {
      if (one.use_count() == 1) {
        block = one;
        break;
      }
    }
    if (!block) {
      block = at::empty({static_cast<int64_t>(size)}, at::kByte).storage();
      blocks.push_back(block);
    }
  }
  void* data = block.mutable_data();
  const auto keep = [block](void*) {};
  return format == at::MemoryFormat::ChannelsLast
             ? at::from_blob(data, sizes, c10::get_channels_last_strides_2d(sizes), keep, options)
             : at::from_blob(data, sizes, keep, options);
}

at::Tensor Workspace::lanes(int64_t count) { return empty({count}, at::kInt); }

void Workspace::release() {
  const std::lock_guard lock(mutex_);
  for (auto& [size, blocks] : blocks_) {
    std::erase_if(blocks, [](const c10::Storage& block) { return block.use_count() == 1; });
  }
}

int64_t Workspace::bytes() const {
  const std::lock_guard lock(mutex_);
  size_t total = 0;
  for (const auto& [size, blocks] : blocks_) {
    total += size * blocks.size();
  }
  return static_cast<int64_t>(total);
}

}  // namespace asdm
