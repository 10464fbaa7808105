// A student UNet learns from the teacher that it was taken out of: the three steps of incubation (A-SDM, arXiv
// 2406.00210) and their losses, on the native graph with torch's gradients. Holds no weights and no optimiser.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "native/assembly/implants.h"
#include "native/unet/unet.h"

namespace asdm {

/// How much each loss counts; 0 leaves it out, and what only it needs.
struct LossWeights {
  double task = 1.0;      ///< against the noise (or velocity) that was put in
  double output = 1.0;    ///< against the teacher's prediction
  double feature = 1.0;   ///< against the values of the teacher's blocks
  double semantic = 0.0;  ///< against the meaning of the teacher's clean latent, as the teacher's own middle sees it
};

/// Noisy latents and what is known of them.
struct TrainingBatch {
  ForwardInputs inputs;  ///< inputs.x[:, :out_channels] = signal * clean + noise * epsilon
  at::Tensor target;     ///< [batch, out_channels, height, width]: epsilon, or the velocity
  at::Tensor signal;     ///< [batch]
  at::Tensor noise;      ///< [batch]
  at::Tensor weight;     ///< [batch]: of each sample in all losses
};

/// Means over the batch, by name; "total" is their weighted sum, and the one that has gradients.
using Losses = std::map<std::string, at::Tensor>;

class Distillation {
 public:
  /// Throws Error where `student` is not `teacher` less some of its parts; it may have ME-CondConv of its own.
  Distillation(const UNetSpec& teacher, const UNetSpec& student);

  [[nodiscard]] const std::vector<Implant>& implants() const noexcept { return implants_; }
  /// The leaves of implant `index` that are trained, by their numbers in its hybrid.
  [[nodiscard]] std::vector<LeafId> trained_leaves(size_t index) const;
  [[nodiscard]] const UNet& hybrid(size_t index) const { return hybrids_.at(index).unet; }
  [[nodiscard]] const UNet& teacher() const noexcept { return teacher_; }
  [[nodiscard]] const UNet& student() const noexcept { return student_.unet; }

  /// Step 1: implant `index` alone, on the values that the teacher has around it, against those in its place ("local").
  /// `weights`: those of the hybrid.
  [[nodiscard]] Losses local(size_t index, const TrainingBatch& batch, WeightSource& teacher,
                             WeightSource& weights) const;
  /// Step 2: implant `index` inside the frozen teacher.
  [[nodiscard]] Losses implanted(size_t index, const TrainingBatch& batch, WeightSource& teacher, WeightSource& weights,
                                 const LossWeights& loss) const;
  /// Step 3: the whole student.
  [[nodiscard]] Losses assembled(const TrainingBatch& batch, WeightSource& teacher, WeightSource& weights,
                                 const LossWeights& loss) const;

 private:
  /// A UNet that learns, and the teacher's block in whose place each of its blocks stands.
  struct Learner {
    Learner(const UNetSpec& spec, const UNet& teacher);
    UNet unet;
    std::map<NodeId, NodeId> counterparts;
  };
  [[nodiscard]] Losses compare(const Learner& learner, const TrainingBatch& batch, WeightSource& teacher,
                               WeightSource& weights, const LossWeights& loss) const;
  [[nodiscard]] at::Tensor meaning(const TrainingBatch& batch, const at::Tensor& prediction,
                                   WeightSource& teacher) const;

  UNet teacher_;
  Learner student_;
  std::vector<Implant> implants_;
  std::deque<Learner> hybrids_;  ///< of the implants; a UNet stays where it was made
};

}  // namespace asdm
