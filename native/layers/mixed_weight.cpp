#include "native/layers/mixed_weight.h"

#include <algorithm>
#include <utility>

#include <ATen/Parallel.h>
#include <ATen/ops/mul.h>

#include "native/base/error.h"
#include "native/layers/cpu_kernels.h"
#include "native/layers/work_grid.h"

namespace asdm {
namespace {

constexpr int64_t kHalf = simd::kPanelColumns / 2;

const char* bytes(const at::Tensor& tensor) { return static_cast<const char*>(tensor.const_data_ptr()); }

}  // namespace

MixedWeight::MixedWeight(at::Tensor weight) : experts_({std::move(weight)}) {}

MixedWeight::MixedWeight(std::vector<at::Tensor> experts, std::vector<float> shares)
    : experts_(std::move(experts)), shares_(std::move(shares)) {
  if (experts_.empty() || experts_.size() != shares_.size()) {
    throw internal_fault("MixedWeight", "one share per expert is due");
  }
}

at::Tensor MixedWeight::whole(Workspace& workspace) const {
  const at::Tensor& first = experts_.front();
  if (is_one()) {
    return first;
  }
  const simd::Kernels* kernels = cpu_kernels(scalar_type());
  const bool readable = std::all_of(experts_.begin(), experts_.end(), [](const at::Tensor& expert) {
    return expert.device().is_cpu() && expert.is_contiguous();
  });
  if (kernels == nullptr || !readable) {
    at::Tensor sum = at::mul(first, shares_.front());
    for (size_t e = 1; e < experts_.size(); ++e) {
      sum.add_(experts_[e], shares_[e]);
    }
    return sum;
  }
  at::Tensor sum = workspace.empty(first.sizes(), first.options());
  auto* out = static_cast<char*>(sum.mutable_data_ptr());
  at::parallel_for(0, first.size(0), 1, [&](int64_t begin, int64_t end) {
    mix_rows(*kernels, begin, end - begin, out + begin * row_bytes());
  });
  return sum;
}

int64_t MixedWeight::row_bytes() const {
  const at::Tensor& first = experts_.front();
  return first.numel() / std::max<int64_t>(first.size(0), 1) * first.element_size();
}

void MixedWeight::mix_rows(const simd::Kernels& kernels, int64_t first, int64_t count, void* out) const {
  std::vector<const void*> rows;
  rows.reserve(experts_.size());
  for (const at::Tensor& expert : experts_) {
    rows.push_back(bytes(expert) + first * row_bytes());
  }
  const int64_t elements = count * row_bytes() / kernels.element_size;
  kernels.mix(rows.data(), shares_.data(), static_cast<int64_t>(rows.size()), elements, out);
}

int64_t MixedWeight::half_panel_lanes() const {
  return is_one() ? 0 : ceil_div(kHalf * row_bytes(), sizeof(uint32_t));
}

simd::PanelHalf MixedWeight::half_panel(const simd::Kernels& kernels, int64_t first, int64_t left,
                                        void* scratch) const {
  const int64_t count = std::clamp<int64_t>(left, 0, kHalf);
  if (is_one()) {
    return {bytes(experts_.front()) + first * row_bytes(), count};
  }
  mix_rows(kernels, first, count, scratch);
  return {scratch, count};
}

}  // namespace asdm
