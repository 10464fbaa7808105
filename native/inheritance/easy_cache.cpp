#include "native/inheritance/easy_cache.h"

#include <ATen/TensorOperators.h>

#include <utility>

namespace asdm {
namespace {

at::Tensor mean_size(const at::Tensor& t) { return t.abs().mean(at::kFloat); }

/// mean |a - b|: in fp16 the difference itself may not fit.
at::Tensor mean_gap(const at::Tensor& a, const at::Tensor& b) { return mean_size(a.to(at::kFloat) - b); }

}  // namespace

EasyCache::EasyCache(TimeStepPattern guards, double threshold) : guards_(std::move(guards)), threshold_(threshold) {}

at::Tensor EasyCache::measure(const at::Tensor& x) {
  now_ = x.detach().clone();
  if (!rate_.defined() || x.sizes() != x_.sizes()) {
    return {};
  }
  return rate_ * mean_gap(x, x_) / mean_size(prediction_);
}

bool EasyCache::inherits(int64_t index, std::optional<double> foretold) {
  if (foretold && !guards_.is_full(index)) {
    foretold_ += *foretold;
    if (foretold_ < threshold_) {
      return true;
    }
  }
  foretold_ = 0.0;
  return false;
}

void EasyCache::computed(const at::Tensor& prediction) {
  if (!now_.defined()) {
    return;
  }
  if (x_.defined() && x_.sizes() == now_.sizes() && prediction_.sizes() == prediction.sizes()) {
    rate_ = mean_gap(prediction, prediction_) / mean_gap(now_, x_);
  }
  x_ = now_;
  prediction_ = prediction.detach().clone();
}

}  // namespace asdm
