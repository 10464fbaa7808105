// The last few values of one node for the chunks of one call, and the value they suggest for a later evaluation.
#pragma once

#include <ATen/core/Tensor.h>

#include <set>
#include <vector>

#include "native/base/extents.h"
#include "native/inheritance/evaluation_point.h"
#include "native/inheritance/value_form.h"

namespace asdm {

/// A value to be stored: a copy of what was computed, because the host's hooks write into what they get.
struct KeptValue {
  KeptValue() = default;
  KeptValue(const at::Tensor& computed, Storage storage);

  /// `given` itself, which nobody writes into.
  [[nodiscard]] static KeptValue without_copy(const at::Tensor& given);

  at::Tensor value;               ///< in the form of `storage`
  at::TensorOptions computed_as;  ///< dtype and device of what was computed
};

/// Every quantity is kept and learned row by row, so that what a chunk inherits does not depend on its neighbours in
/// the batch. Values are [rows, channels, height, width] or [rows, tokens, channels].
class FeatureSeries {
 public:
  FeatureSeries() = default;
  explicit FeatureSeries(const ValueSettings& settings) : settings_(settings) {}

  /// Keeps `value`, computed at `now`. Learns from the step since the value before; drops all of them where the shape
  /// changed or sigma rose in between.
  void push(const KeptValue& value, const EvaluationPoint& now);

  /// The rows `rows` of what stands in at `now`; to be read only, since a held value is the stored one itself.
  /// Forecasts reach no further than the gap between the last two values.
  [[nodiscard]] at::Tensor value(const EvaluationPoint& now, const RowRange& rows) const;

  [[nodiscard]] bool empty() const noexcept { return snapshots_.empty(); }
  /// True where value() is the same until the next push().
  [[nodiscard]] bool holds() const noexcept { return settings_.form == ValueForm::kHold; }
  /// True where value() is more than the newest value.
  [[nodiscard]] bool forecasts() const;
  /// The newest value, in all rows. Must not be empty.
  [[nodiscard]] at::Tensor newest_value() const { return restored(snapshots_.front().value, all_rows()); }
  /// When the newest value was computed. Must not be empty.
  [[nodiscard]] const EvaluationPoint& newest() const { return snapshots_.front().taken; }
  /// Rows of each value. Must not be empty.
  [[nodiscard]] int64_t rows() const { return snapshots_.front().value.size(0); }
  /// Bytes of memory held beside what is in `counted`, and adds it there: series may share a tensor's memory.
  [[nodiscard]] int64_t bytes(std::set<const void*>& counted) const;

  /// The series of rows taken from others, in the order given: the same chunks in another grouping. Where their values
  /// were computed at different evaluations, only the newest of each is kept, as old as the oldest of them.
  struct Part {
    const FeatureSeries* series;
    RowRange rows;
  };
  [[nodiscard]] static FeatureSeries join(const std::vector<Part>& parts);

 private:
  struct Snapshot {
    at::Tensor value;
    EvaluationPoint taken;
  };

  [[nodiscard]] at::Tensor restored(const at::Tensor& value, const RowRange& rows) const;
  [[nodiscard]] RowRange all_rows() const { return {0, rows()}; }
  [[nodiscard]] std::vector<double> times() const;
  [[nodiscard]] DifferenceWeights weights_at(const EvaluationPoint& now) const;
  [[nodiscard]] at::Tensor taylor(const EvaluationPoint& now, const RowRange& rows) const;
  [[nodiscard]] at::Tensor affine(const EvaluationPoint& now, const RowRange& rows) const;
  void clear();
  void learn_trust(const at::Tensor& value, const EvaluationPoint& now);
  void learn_affine(const at::Tensor& value, const EvaluationPoint& now);

  ValueSettings settings_;
  at::TensorOptions computed_as_;    ///< dtype and device of the values that were pushed
  std::vector<Snapshot> snapshots_;  ///< the newest first
  at::Tensor trust_;  ///< Taylor: [rows, 1, ...], fp32, what the difference terms are worth; undefined = all of it
  at::Tensor gain_;   ///< affine: per row and channel, fp32; undefined until two values were seen
  at::Tensor shift_;
  double step_ = 0.0;  ///< affine: the time that gain and shift stand for
};

}  // namespace asdm
