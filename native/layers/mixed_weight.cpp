#include "native/layers/mixed_weight.h"

#include <ATen/Parallel.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <utility>

#include "native/base/error.h"
#include "native/layers/cpu_kernels.h"

namespace asdm {

MixedWeight::MixedWeight(at::Tensor weight) : experts_({std::move(weight)}) {}

MixedWeight::MixedWeight(std::vector<at::Tensor> experts, at::Tensor shares)
    : experts_(std::move(experts)), shares_(std::move(shares)) {
  if (experts_.empty() || shares_.dim() != 2 || shares_.size(1) != static_cast<int64_t>(experts_.size())) {
    throw internal_fault("MixedWeight", "one share per expert is due");
  }
}

MixedWeight MixedWeight::kernel(int64_t number) const {
  return is_one() ? *this : MixedWeight(experts_, shares_.narrow(0, number, 1));
}

bool MixedWeight::records_gradient() const {
  const auto records = [](const at::Tensor& one) { return asdm::records_gradient(one); };
  return records(shares_) || std::any_of(experts_.begin(), experts_.end(), records);
}

at::Tensor MixedWeight::whole(Workspace& workspace) const {
  const at::Tensor& first = experts_.front();
  if (is_one()) {
    return first.unsqueeze(0);
  }
  const simd::Kernels* mixing = cpu_kernels(first.scalar_type());
  const bool readable = std::all_of(experts_.begin(), experts_.end(), [](const at::Tensor& expert) {
    return expert.device().is_cpu() && expert.is_contiguous();
  });
  if (mixing == nullptr || !readable || records_gradient()) {
    const at::Tensor mixed = at::matmul(shares_.to(first.scalar_type()), at::stack(experts_).flatten(1));
    return mixed.unflatten(1, first.sizes());
  }
  std::vector<int64_t> sizes = first.sizes().vec();
  sizes.insert(sizes.begin(), kernels());
  at::Tensor sums = workspace.empty(sizes, first.options());
  auto* out = static_cast<char*>(sums.mutable_data_ptr());
  const PanelSource parts(*this);
  const int64_t row = first.numel() / std::max<int64_t>(first.size(0), 1);
  at::parallel_for(0, kernels() * first.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t kernel = i / first.size(0);
      const simd::PanelWeights one = parts.panel(kernel, kernel + 1, {}, {});
      mixing->mix(one.experts, i % first.size(0) * row, one.shares, one.expert_count, row,
                  out + i * row * mixing->element_size);
    }
  });
  return sums;
}

PanelSource::PanelSource(const MixedWeight& weight) : kernels_(weight.kernels()) {
  for (const at::Tensor& expert : weight.experts_) {
    experts_.push_back(expert.const_data_ptr());
  }
  if (!weight.is_one()) {
    shares_ = weight.shares_.to(at::kFloat).contiguous();
  }
}

simd::PanelWeights PanelSource::panel(int64_t first, int64_t last, const simd::PanelHalf& low,
                                      const simd::PanelHalf& high) const {
  const auto count = static_cast<int64_t>(experts_.size());
  return {.experts = experts_.data(),
          .expert_count = count,
          .shares = shares_.defined() ? shares_.const_data_ptr<float>() + first * count : nullptr,
          .kernels = last - first,
          .halves = {low, high}};
}

}  // namespace asdm
