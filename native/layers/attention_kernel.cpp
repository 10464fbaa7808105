#include "native/layers/attention_kernel.h"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>

#include "native/layers/cpu_kernels.h"

namespace asdm {
namespace {

using avx512::kTileRows;
using avx512::Kernels;
using avx512::Matrix;

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
    const int64_t offset =
        unit / heads_ * tensor_.stride(0) + first * tensor_.stride(1) + unit % heads_ * dim_head_;
    return {data_ + offset * static_cast<int64_t>(tensor_.element_size()), count, dim_head_, tensor_.stride(1)};
  }

 private:
  const char* data_;
  const at::Tensor& tensor_;
  int64_t heads_;
  int64_t dim_head_;
};

/// Keys and values of all units, packed for the kernel.
struct PackedContext {
  int64_t keys_size;
  int64_t values_size;
  at::Tensor lanes;  ///< [units, keys_size + values_size]

  [[nodiscard]] uint32_t* keys(int64_t unit) const {
    return static_cast<uint32_t*>(lanes.mutable_data_ptr()) + unit * (keys_size + values_size);
  }
  [[nodiscard]] uint32_t* values(int64_t unit) const { return keys(unit) + keys_size; }
};

PackedContext pack(const Kernels& kernels, const at::Tensor& k, const at::Tensor& v, int64_t heads,
                   Workspace& workspace) {
  const int64_t units = k.size(0) * heads;
  const int64_t context = k.size(1);
  const int64_t dim_head = k.size(2) / heads;
  PackedContext packed{kernels.packed_keys_size(context, dim_head), kernels.packed_values_size(context, dim_head), {}};
  packed.lanes = workspace.lanes(units * (packed.keys_size + packed.values_size));
  const Heads keys(k, heads);
  const Heads values(v, heads);
  at::parallel_for(0, units, 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      kernels.pack_keys(keys(unit, 0, context), packed.keys(unit));
      kernels.pack_values(values(unit, 0, context), packed.values(unit));
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
  const PackedContext packed = pack(*kernels, k, v, heads, workspace);
  at::Tensor out = workspace.empty(q.sizes(), q.options());
  const Heads queries(q, heads);
  const Heads targets(out, heads);
  const int64_t tokens = q.size(1);
  const int64_t dim_head = q.size(2) / heads;
  const int64_t tiles = (tokens + kTileRows - 1) / kTileRows;
  const float scale = 1.0F / std::sqrt(static_cast<float>(dim_head));
  at::parallel_for(0, q.size(0) * heads * tiles, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor scratch = workspace.lanes(kernels->attention_scratch_size(dim_head));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t unit = task / tiles;
      const int64_t first = task % tiles * kTileRows;
      const int64_t rows = std::min(kTileRows, tokens - first);
      const Matrix target = targets(unit, first, rows);
      kernels->attend_tile(queries(unit, first, rows), packed.keys(unit), packed.values(unit), k.size(1), scale,
                           const_cast<void*>(target.data), target.row_stride,
                           static_cast<float*>(scratch.mutable_data_ptr()));
    }
  });
  return out;
}

}  // namespace asdm
