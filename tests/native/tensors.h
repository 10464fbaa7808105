// Tensors and weights for tests: reproducible noise, random weights for any table of leaves, and a source of weights
// that takes back what it lends.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/layers/weight_source.h"

namespace asdm::testing {

/// Standard normal noise in fp32; the same for the same seed.
inline at::Tensor noise(at::IntArrayRef sizes, uint64_t seed) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed), at::TensorOptions().dtype(at::kFloat));
}

/// Weights that keep activations near unit size through any number of layers.
inline std::vector<LeafTensors> random_weights(const std::vector<LeafInfo>& leaves, uint64_t seed) {
  std::vector<LeafTensors> tensors;
  for (const LeafInfo& leaf : leaves) {
    LeafTensors made;
    made.weight = noise(leaf.shape, seed++);
    if (leaf.shape.size() == 1) {
      made.weight = made.weight * 0.2 + 1.0;
    } else {
      const int64_t fan_in = made.weight.numel() / leaf.shape.front();
      made.weight = made.weight / std::sqrt(static_cast<double>(fan_in));
    }
    if (leaf.has_bias) {
      made.bias = noise({leaf.shape.front()}, seed++) * 0.1;
    }
    tensors.push_back(std::move(made));
  }
  return tensors;
}

/// Largest difference of two tensors of one shape, in fp32; infinite where either holds no number.
inline double difference(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined() || a.sizes() != b.sizes()) {
    ADD_FAILURE() << "shapes differ";
    return std::numeric_limits<double>::infinity();
  }
  const auto largest = (a.to(at::kFloat) - b.to(at::kFloat)).abs().max().item<double>();
  return std::isnan(largest) ? std::numeric_limits<double>::infinity() : largest;
}

/// The value of a scalar, where there is one.
inline std::optional<double> number(const at::Tensor& scalar) {
  return scalar.defined() ? std::optional(scalar.item<double>()) : std::nullopt;
}

enum class Lending {
  kSame,       ///< the tensors themselves
  kOneBuffer,  ///< copies in one buffer for all weights of a shape, as hosts cast weights for one stream
  kCopies      ///< a copy per use, spoilt when it comes back, as an offloading host reuses its buffers
};

/// Counts uses and leases.
class LendingWeights final : public WeightSource {
 public:
  LendingWeights(const std::vector<LeafInfo>& leaves, std::vector<LeafTensors> tensors, Lending lending)
      : leaves_(leaves), resident_(leaves, std::move(tensors)), lending_(lending) {}

  LeafTensors fetch(LeafId leaf, const at::Tensor& input) override {
    LeafTensors lent = resident_.fetch(leaf, input);
    ++fetches_[leaves_.at(static_cast<size_t>(leaf)).name];
    most_lent_ = std::max(most_lent_, ++lent_);
    if (lending_ == Lending::kCopies) {
      lent.weight = lent.weight.clone();
    } else if (lending_ == Lending::kOneBuffer) {
      at::Tensor& buffer = buffers_[lent.weight.sizes().vec()];
      buffer = buffer.defined() ? buffer.copy_(lent.weight) : lent.weight.clone();
      lent.weight = buffer;
    }
    lent.lease = std::shared_ptr<void>(nullptr, [this, weight = lent.weight](void*) {
      --lent_;
      if (lending_ == Lending::kCopies) {
        weight.fill_(std::numeric_limits<double>::quiet_NaN());
      }
    });
    return lent;
  }

  /// Uses by leaf name, since the start or the last clear().
  [[nodiscard]] const std::map<std::string, int64_t>& fetches() const { return fetches_; }
  /// "input_blocks.1", "time_embed", ...: the modules whose leaves were used.
  [[nodiscard]] std::set<std::string> modules() const {
    std::set<std::string> found;
    for (const auto& [name, uses] : fetches_) {
      const bool numbered = name.starts_with("input_blocks.") || name.starts_with("output_blocks.");
      const size_t dot = name.find('.');
      found.insert(name.substr(0, numbered ? name.find('.', dot + 1) : dot));
    }
    return found;
  }
  void clear() { fetches_.clear(); }
  [[nodiscard]] int64_t lent() const { return lent_; }
  [[nodiscard]] int64_t most_lent() const { return most_lent_; }

 private:
  std::vector<LeafInfo> leaves_;
  ResidentWeights resident_;
  Lending lending_;
  std::map<std::vector<int64_t>, at::Tensor> buffers_;
  std::map<std::string, int64_t> fetches_;
  int64_t lent_ = 0;
  int64_t most_lent_ = 0;
};

}  // namespace asdm::testing
