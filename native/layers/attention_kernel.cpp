#include "native/layers/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include "native/layers/attention_avx512bf16.h"

namespace asdm {

#ifdef ASDM_AVX512BF16

namespace {

namespace kernel = avx512bf16;

bool has_avx512bf16() {
  static const bool has = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl");
  return has;
}

bool runs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  const bool fits = k.sizes() == v.sizes() && k.size(0) == q.size(0) && k.size(2) == q.size(2);
  if (!has_avx512bf16() || !fits || k.size(1) == 0 || (q.size(2) / heads) % 2 != 0) {
    return false;
  }
  for (const at::Tensor* tensor : {&q, &k, &v}) {
    if (!tensor->device().is_cpu() || tensor->scalar_type() != at::kBFloat16 || tensor->stride(2) != 1 ||
        (at::GradMode::is_enabled() && tensor->requires_grad())) {
      return false;
    }
  }
  return true;
}

/// Head `head` of batch row `row` as a matrix of tokens by channels.
kernel::Matrix head_of(const at::Tensor& tensor, int64_t row, int64_t head, int64_t dim_head) {
  const auto* data = static_cast<const uint16_t*>(tensor.const_data_ptr());
  return {data + row * tensor.stride(0) + head * dim_head, tensor.size(1), dim_head, tensor.stride(1)};
}

struct AlignedDelete {
  void operator()(float* pointer) const { ::operator delete[](pointer, std::align_val_t(64)); }
};

std::unique_ptr<float[], AlignedDelete> make_scratch(int64_t size) {
  return std::unique_ptr<float[], AlignedDelete>(new (std::align_val_t(64)) float[static_cast<size_t>(size)]);
}

}  // namespace

at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  if (!runs(q, k, v, heads)) {
    return {};
  }
  const int64_t units = q.size(0) * heads;
  const int64_t dim_head = q.size(2) / heads;
  const int64_t context = k.size(1);
  const int64_t keys_size = kernel::packed_keys_size(context, dim_head);
  const int64_t values_size = kernel::packed_values_size(context, dim_head);
  const at::Tensor packed_keys = at::empty({units, keys_size}, q.options());
  const at::Tensor packed_values = at::empty({units, values_size}, q.options());
  auto* keys = static_cast<uint16_t*>(packed_keys.mutable_data_ptr());
  auto* values = static_cast<uint16_t*>(packed_values.mutable_data_ptr());
  at::parallel_for(0, units, 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      kernel::pack_keys(head_of(k, unit / heads, unit % heads, dim_head), keys + unit * keys_size);
      kernel::pack_values(head_of(v, unit / heads, unit % heads, dim_head), values + unit * values_size);
    }
  });
  at::Tensor out = at::empty(q.sizes(), q.options());
  const int64_t tiles = (q.size(1) + kernel::kTileRows - 1) / kernel::kTileRows;
  const float scale = 1.0F / std::sqrt(static_cast<float>(dim_head));
  at::parallel_for(0, units * tiles, 1, [&](int64_t begin, int64_t end) {
    const auto scratch = make_scratch(kernel::scratch_size(dim_head));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t unit = task / tiles;
      const int64_t first = task % tiles * kernel::kTileRows;
      kernel::Matrix queries = head_of(q, unit / heads, unit % heads, dim_head);
      queries.data += first * queries.row_stride;
      queries.rows = std::min(kernel::kTileRows, queries.rows - first);
      const kernel::Matrix target = head_of(out, unit / heads, unit % heads, dim_head);
      kernel::attend_tile(queries, keys + unit * keys_size, values + unit * values_size, context, scale,
                          const_cast<uint16_t*>(target.data) + first * target.row_stride, target.row_stride,
                          scratch.get());
    }
  });
  return out;
}

#else

at::Tensor cpu_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t) { return {}; }

#endif

}  // namespace asdm
