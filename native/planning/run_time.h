// What a sampling run costs, by what it computes.
#pragma once

namespace asdm {

/// Seconds of a run as a straight line over the share of a full run's multiply-accumulates that it computes: what it
/// costs beside them (sampler, bookkeeping, what is always live) does not shrink with them. Fitted by least squares.
class RunTime {
 public:
  /// A run that computed `share` (0..1) took `seconds`.
  void add(double share, double seconds);

  /// 0 before the first run; in proportion to the share while all runs computed the same.
  [[nodiscard]] double seconds(double share) const;
  /// Of such a run over one that computes everything; 1 before the first run.
  [[nodiscard]] double speedup(double share) const;
  /// The share at which a run is `speedup` times as fast; not above 1, and below 0 where none is.
  [[nodiscard]] double share_at(double speedup) const;

 private:
  struct Line {
    double fixed;
    double slope;
  };
  [[nodiscard]] Line line() const;

  double count_ = 0.0;
  double shares_ = 0.0;
  double seconds_ = 0.0;
  double squares_ = 0.0;
  double products_ = 0.0;
};

}  // namespace asdm
