// What the convolution kernels of our own ask of their operands, and make of them.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/layers/convolution_kernel.h"
#include "native/layers/cpu_kernels.h"

namespace asdm {

/// True where there are kernels and they can read these: on CPU, one dtype, x in channels_last, weight contiguous, no
/// gradients. Comes before anything is made for them, which on a GPU would be work for nothing.
bool runs_convolution(const simd::Kernels* kernels, const at::Tensor& x, const MixedWeight& weight,
                      const at::Tensor& bias, const ConvolutionExtras& extras);

/// bias [out] in fp32; undefined where it is.
at::Tensor in_fp32(const at::Tensor& bias);

/// Memory of a tensor; null where it is undefined.
const char* bytes(const at::Tensor& tensor);

/// Values of a fp32 tensor; null where it is undefined.
const float* floats(const at::Tensor& tensor);

/// What is added to every pixel: bias [out] or [batch, out] + shift [batch, out], as far as they are there; fp32.
at::Tensor pixel_shift(const at::Tensor& bias, const at::Tensor& shift);

/// Elements of a pixel_shift() from image to image; 0 where all have the same.
int64_t shift_stride(const at::Tensor& shift);

/// The residual in channels_last; undefined where it is.
at::Tensor residual_in_order(const at::Tensor& residual);

}  // namespace asdm
