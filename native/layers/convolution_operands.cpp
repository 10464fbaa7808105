#include "native/layers/convolution_operands.h"

#include <ATen/TensorOperators.h>

namespace asdm {

bool runs_convolution(const simd::Kernels* kernels, const at::Tensor& x, const at::Tensor& weight,
                      const at::Tensor& bias, const ConvolutionExtras& extras) {
  return kernels != nullptr && x.device().is_cpu() && x.is_contiguous(at::MemoryFormat::ChannelsLast) &&
         weight.is_contiguous() && weight.scalar_type() == x.scalar_type() && !records_gradient(x) && !records_gradient(weight) &&
         !records_gradient(bias) && !records_gradient(extras.shift) && !records_gradient(extras.residual);
}

at::Tensor in_fp32(const at::Tensor& bias) { return bias.defined() ? bias.to(at::kFloat).contiguous() : bias; }

const char* bytes(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const char*>(tensor.const_data_ptr()) : nullptr;
}

const float* floats(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

at::Tensor pixel_shift(const at::Tensor& bias, const at::Tensor& shift) {
  if (!shift.defined()) {
    return in_fp32(bias);
  }
  return bias.defined() ? in_fp32(shift) + in_fp32(bias) : in_fp32(shift);
}

at::Tensor residual_in_order(const at::Tensor& residual) {
  return residual.defined() ? residual.contiguous(at::MemoryFormat::ChannelsLast) : residual;
}

}  // namespace asdm
