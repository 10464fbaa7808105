// Compressed UNets without training: behind each cut, a gain and a shift for every channel of the last layer before it,
// in closed form from what the teacher has there. They go into that layer's weights, so that an ordinary UNet is left.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "native/unet/unet.h"

namespace asdm {

/// A block behind which, or in which, the student lacks something.
struct Cut {
  std::string block;    ///< address
  std::string leaf;     ///< checkpoint name of the linear or convolution that ends its last layer
  NodeId student = -1;  ///< the block in the student
  NodeId layer = -1;    ///< its last layer in the student
  NodeId teacher = -1;  ///< the block of the teacher that it stands for
};

/// The cuts, in evaluation order. Fit and apply one before the next is measured.
[[nodiscard]] std::vector<Cut> cuts_of(const UNet& teacher, const UNet& student);

/// Sums over the samples and pixels of one call, fp64 [5, channels]: 1, b, b^2, d, b d; b is what the layer adds, d
/// what it should add for the block to equal the teacher's. Sums of several calls may be added.
[[nodiscard]] at::Tensor cut_moments(const Cut& cut, const ForwardInputs& inputs, const UNet& teacher,
                                     WeightSource& teacher_weights, const UNet& student, WeightSource& student_weights);

/// (gain, shift), fp64 [channels]: those with the least squared error of gain * b + shift against d.
[[nodiscard]] std::pair<at::Tensor, at::Tensor> fit_cut(const at::Tensor& moments);

}  // namespace asdm
