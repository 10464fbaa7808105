#include "native/layers/projection_cache.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "native/layers/cpu_kernels.h"

namespace asdm {

at::Tensor Projections::find(LeafId leaf) const {
  const auto found = outputs_.find(leaf);
  return found == outputs_.end() ? at::Tensor() : found->second;
}

void Projections::keep(LeafId leaf, const at::Tensor& output) {
  if (!records_gradient(output)) {
    outputs_.insert_or_assign(leaf, output);
  }
}

bool Projections::belong_to(const at::Tensor& input) const {
  if (input.sizes() != input_.sizes() || input.scalar_type() != input_.scalar_type()) {
    return false;
  }
  const at::Tensor contiguous = input.contiguous();
  return std::memcmp(contiguous.const_data_ptr(), input_.const_data_ptr(), input_.nbytes()) == 0;
}

int64_t Projections::bytes() const {
  const auto add = [](int64_t sum, const auto& entry) { return sum + static_cast<int64_t>(entry.second.nbytes()); };
  return std::accumulate(outputs_.begin(), outputs_.end(), static_cast<int64_t>(input_.nbytes()), add);
}

std::shared_ptr<Projections> ProjectionCache::of(const at::Tensor& input) {
  if (!input.device().is_cpu() || records_gradient(input)) {
    return nullptr;
  }
  const auto found = std::find_if(known_.begin(), known_.end(),
                                  [&](const std::shared_ptr<Projections>& one) { return one->belong_to(input); });
  if (found != known_.end()) {
    std::rotate(found, found + 1, known_.end());
    return known_.back();
  }
  if (known_.size() == static_cast<size_t>(kInputs)) {
    peak_bytes_ = peak_bytes();
    known_.erase(known_.begin());
  }
  return known_.emplace_back(std::make_shared<Projections>(input.clone(at::MemoryFormat::Contiguous)));
}

void ProjectionCache::clear() {
  peak_bytes_ = peak_bytes();
  known_.clear();
}

int64_t ProjectionCache::bytes() const {
  const auto add = [](int64_t sum, const std::shared_ptr<Projections>& one) { return sum + one->bytes(); };
  return std::accumulate(known_.begin(), known_.end(), int64_t{0}, add);
}

int64_t ProjectionCache::peak_bytes() const { return std::max(peak_bytes_, bytes()); }

}  // namespace asdm
