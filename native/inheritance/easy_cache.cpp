#include "native/inheritance/easy_cache.h"

#include <utility>

#include <ATen/TensorOperators.h>

namespace asdm {
namespace {

at::Tensor mean_size(const at::Tensor& t) { return t.abs().mean(at::kFloat); }

}  // namespace

EasyCache::EasyCache(TimeStepPattern guards, double threshold) : guards_(std::move(guards)), threshold_(threshold) {}

bool EasyCache::inherits(int64_t index, const at::Tensor& x) {
  const bool comparable = rate_.defined() && x.defined() && x.sizes() == x_.sizes();
  if (comparable && !guards_.is_full(index)) {
    foretold_ += (rate_ * mean_size(x - x_) / mean_size(prediction_)).item<double>();
    if (foretold_ < threshold_) {
      return true;
    }
  }
  foretold_ = 0.0;
  return false;
}

void EasyCache::computed(const at::Tensor& x, const at::Tensor& prediction) {
  if (x_.defined() && x_.sizes() == x.sizes() && prediction_.sizes() == prediction.sizes()) {
    rate_ = mean_size(prediction - prediction_) / mean_size(x - x_);
  }
  x_ = x.detach().clone();
  prediction_ = prediction.detach().clone();
}

}  // namespace asdm
