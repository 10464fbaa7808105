// What linears made of inputs that the calls of one sampling run repeat, such as the keys and values of a prompt.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/layers/weight_source.h"

namespace asdm {

/// What linears made of one input.
class Projections {
 public:
  /// `input`: a copy that nobody else writes into, contiguous.
  explicit Projections(at::Tensor input) : input_(std::move(input)) {}

  /// What `leaf` made of it, to be read only; undefined where it was not asked yet.
  [[nodiscard]] at::Tensor find(LeafId leaf) const;
  /// Remembers `output` unless it has a gradient to record.
  void keep(LeafId leaf, const at::Tensor& output);
  /// Whether `input` has the shape, the dtype and the bytes of the one that these belong to.
  [[nodiscard]] bool belong_to(const at::Tensor& input) const;
  [[nodiscard]] int64_t bytes() const;

 private:
  at::Tensor input_;
  std::unordered_map<LeafId, at::Tensor> outputs_;
};

/// The projections of the last few inputs, for as long as the weights stay what they are: who owns the cache clears it
/// when they change.
class ProjectionCache {
 public:
  /// Inputs that are known at a time: cond and uncond together, each alone, and those of an area.
  static constexpr int64_t kInputs = 4;

  /// Those of `input`, which is known by its bytes. Null where it cannot be told: on a device that computes behind the
  /// caller's back, comparing would wait for it.
  [[nodiscard]] std::shared_ptr<Projections> of(const at::Tensor& input);
  void clear();
  [[nodiscard]] int64_t bytes() const;
  [[nodiscard]] int64_t peak_bytes() const;

 private:
  std::vector<std::shared_ptr<Projections>> known_;  ///< the one used last comes last
  int64_t peak_bytes_ = 0;                           ///< before something was dropped
};

}  // namespace asdm
