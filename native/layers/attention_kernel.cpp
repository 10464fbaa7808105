#include "native/layers/attention_kernel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "native/layers/cpu_kernels.h"

namespace asdm {
namespace {

using simd::Kernels;
using simd::kTileQueries;
using simd::Matrix;

bool runs(const Kernels& kernels, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  const bool fits = k.sizes() == v.sizes() && k.size(0) == q.size(0) && k.size(2) == q.size(2);
  if (!fits || k.size(1) == 0 || (q.size(2) / heads) % kernels.group != 0) {
    return false;
  }
  const auto lanes = [&](const at::Tensor& tensor) {
    return readable_by_kernels(tensor) && tensor.scalar_type() == q.scalar_type() &&
           tensor.stride(0) % kernels.group == 0 && tensor.stride(1) % kernels.group == 0 &&
           reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % sizeof(uint32_t) == 0;
  };
  return lanes(q) && lanes(k) && lanes(v);
}

/// Reads and writes heads of [batch, tokens, heads * d] tensors as matrices of tokens by channels.
class Heads {
 public:
  Heads(const at::Tensor& tensor, int64_t heads)
      : data_(static_cast<const char*>(tensor.const_data_ptr())),
        tensor_(tensor),
        heads_(heads),
        dim_head_(tensor.size(2) / heads) {}

  /// Rows [first, first + count) of unit `unit` = batch row * heads + head.
  [[nodiscard]] Matrix operator()(int64_t unit, int64_t first, int64_t count) const {
    const int64_t offset = unit / heads_ * tensor_.stride(0) + first * tensor_.stride(1) + unit % heads_ * dim_head_;
    return {data_ + offset * static_cast<int64_t>(tensor_.element_size()), count, dim_head_, tensor_.stride(1)};
  }

 private:
  const char* data_;
  const at::Tensor& tensor_;
  int64_t heads_;
  int64_t dim_head_;
};

/// The context of all units as the kernel wants it, [units, size] lanes.
at::Tensor pack_context(const Kernels& kernels, const at::Tensor& k, const at::Tensor& v, int64_t heads, int64_t size,
                        Workspace& workspace) {
  const int64_t units = v.size(0) * heads;
  at::Tensor packed = workspace.lanes(units * size);
  auto* lanes = static_cast<uint32_t*>(packed.mutable_data_ptr());
  const Heads keys(k, heads);
  const Heads values(v, heads);
  at::parallel_for(0, units, 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      kernels.pack_context(keys(unit, 0, k.size(1)), values(unit, 0, v.size(1)), lanes + unit * size);
    }
  });
  return packed;
}

}  // namespace

at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads,
                         Workspace& workspace) {
  const Kernels* kernels = cpu_kernels(q.scalar_type());
  if (kernels == nullptr || !runs(*kernels, q, k, v, heads)) {
    return {};
  }
  const int64_t tokens = q.size(1);
  const int64_t context = k.size(1);
  const int64_t dim_head = q.size(2) / heads;
  const int64_t packed_size = kernels->packed_context_size(context, dim_head);
  const at::Tensor packed = pack_context(*kernels, k, v, heads, packed_size, workspace);
  const auto* lanes = static_cast<const uint32_t*>(packed.const_data_ptr());
  at::Tensor out = workspace.empty(q.sizes(), q.options());
  const Heads queries(q, heads);
  const Heads keys(k, heads);
  const Heads targets(out, heads);
  const int64_t tiles = (tokens + kTileQueries - 1) / kTileQueries;
  const float scale = 1.0F / std::sqrt(static_cast<float>(dim_head));
  at::parallel_for(0, q.size(0) * heads * tiles, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor scratch = workspace.lanes(kernels->attention_scratch_size(dim_head));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t unit = task / tiles;
      const int64_t first = task % tiles * kTileQueries;
      const int64_t rows = std::min(kTileQueries, tokens - first);
      const Matrix target = targets(unit, first, rows);
      kernels->attend_tile(queries(unit, first, rows), keys(unit, 0, context), lanes + unit * packed_size, scale,
                           const_cast<void*>(target.data), target.row_stride,
                           static_cast<float*>(scratch.mutable_data_ptr()));
    }
  });
  return out;
}

}  // namespace asdm
