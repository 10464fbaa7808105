#include "native/layers/convolution_operands.h"

#include <ATen/TensorOperators.h>

#include <algorithm>

namespace asdm {

bool runs_convolution(const simd::Kernels* kernels, const at::Tensor& x, const MixedWeight& weight,
                      const at::Tensor& bias, const ConvolutionExtras& extras) {
  const auto readable = [&](const at::Tensor& expert) {
    return expert.is_contiguous() && expert.scalar_type() == x.scalar_type();
  };
  return kernels != nullptr && x.device().is_cpu() && x.is_contiguous(at::MemoryFormat::ChannelsLast) &&
         std::all_of(weight.experts().begin(), weight.experts().end(), readable) && !weight.records_gradient() &&
         !records_gradient(x) && !records_gradient(bias) && !records_gradient(extras.shift) &&
         !records_gradient(extras.residual);
}

at::Tensor in_fp32(const at::Tensor& bias) { return bias.defined() ? bias.to(at::kFloat).contiguous() : bias; }

const char* bytes(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const char*>(tensor.const_data_ptr()) : nullptr;
}

const float* floats(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr; }

at::Tensor pixel_shift(const at::Tensor& bias, const at::Tensor& shift) {
  if (!shift.defined()) {
    return in_fp32(bias);
  }
  return bias.defined() ? in_fp32(shift) + in_fp32(bias) : in_fp32(shift);
}

int64_t shift_stride(const at::Tensor& shift) { return shift.defined() && shift.dim() == 2 ? shift.size(1) : 0; }

at::Tensor residual_in_order(const at::Tensor& residual) {
  return residual.defined() ? residual.contiguous(at::MemoryFormat::ChannelsLast) : residual;
}

}  // namespace asdm
