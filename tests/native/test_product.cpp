#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "native/layers/channel_sums.h"
#include "native/layers/cpu_kernels.h"
#include "native/layers/group_norm_kernel.h"
#include "native/layers/product.h"
#include "native/layers/winograd.h"
#include "tests/native/needed_kernels.h"

namespace asdm {
namespace {

double relative_error(const at::Tensor& value, const at::Tensor& expected) {
  return ((value.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

/// fp32: the order of a sum of some thousand terms. bf16: the result is rounded once, 2^-9.
double bound(at::ScalarType dtype) { return dtype == at::kFloat ? 2e-6 : 3e-3; }

/// Random values of `dtype`, and the same in double.
struct Draw {
  at::Tensor value;
  at::Tensor exact;

  Draw(at::IntArrayRef sizes, at::ScalarType dtype, double scale = 1.0)
      : value((at::randn(sizes) * scale).to(dtype)), exact(value.to(at::kDouble)) {}

  Draw& channels_last() {
    value = value.contiguous(at::MemoryFormat::ChannelsLast);
    return *this;
  }
};

struct LinearShape {
  int64_t rows, in, out;
};

class LinearProduct : public testing::TestWithParam<std::tuple<LinearShape, at::ScalarType>> {};

TEST_P(LinearProduct, EqualsTheFormulaWhereTheProcessorHasIt) {
  const c10::InferenceMode inference;
  const auto [shape, dtype] = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  const Draw x({shape.rows, shape.in}, dtype);
  const Draw weight({shape.out, shape.in}, dtype);
  const Draw bias({shape.out}, dtype);
  const Draw residual({shape.rows, shape.out}, dtype);
  Workspace workspace;
  const at::Tensor bare = cpu_linear(x.value, weight.value, {}, {}, workspace);
  ASSERT_TRUE(bare.defined());
  const at::Tensor exact = at::linear(x.exact, weight.exact);
  EXPECT_LT(relative_error(bare, exact), bound(dtype));
  EXPECT_LT(relative_error(cpu_linear(x.value, weight.value, bias.value, residual.value, workspace),
                           exact + bias.exact + residual.exact),
            bound(dtype));
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearProduct,
                         testing::Combine(testing::Values(LinearShape{24, 4, 4}, LinearShape{25, 32, 33},
                                                          LinearShape{64, 320, 96}, LinearShape{112, 64, 48},
                                                          LinearShape{400, 320, 96}, LinearShape{193, 1030, 40},
                                                          LinearShape{100, 5800, 70}),
                                          testing::Values(at::kFloat, at::kBFloat16)));

class GatedProduct : public testing::TestWithParam<std::tuple<LinearShape, at::ScalarType>> {};

TEST_P(GatedProduct, EqualsTheFormulaWhereTheProcessorHasIt) {
  const c10::InferenceMode inference;
  const auto [shape, dtype] = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  const Draw x({shape.rows, shape.in}, dtype);
  const Draw weight({2 * shape.out, shape.in}, dtype, 0.3);
  const Draw bias({2 * shape.out}, dtype);
  Workspace workspace;
  const at::Tensor out = cpu_geglu(x.value, weight.value, bias.value, workspace);
  ASSERT_TRUE(out.defined());
  const at::Tensor projected = at::linear(x.exact, weight.exact, bias.exact);
  const at::Tensor expected = projected.narrow(1, 0, shape.out) * at::gelu(projected.narrow(1, shape.out, shape.out));
  EXPECT_LT(relative_error(out, expected), bound(dtype));
}

INSTANTIATE_TEST_SUITE_P(Shapes, GatedProduct,
                         testing::Combine(testing::Values(LinearShape{24, 8, 16}, LinearShape{31, 64, 40},
                                                          LinearShape{260, 320, 128}),
                                          testing::Values(at::kFloat, at::kBFloat16)));

struct ConvolutionShape {
  int64_t batch, in, out, height, width, kernel, stride;
};

class ConvolutionProduct : public testing::TestWithParam<std::tuple<ConvolutionShape, at::ScalarType>> {};

TEST_P(ConvolutionProduct, EqualsTheFormulaWhereTheProcessorHasIt) {
  const c10::InferenceMode inference;
  const auto [s, dtype] = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  Draw x({s.batch, s.in, s.height, s.width}, dtype);
  x.channels_last();
  const Draw weight({s.out, s.in, s.kernel, s.kernel}, dtype);
  const Draw bias({s.out}, dtype);
  const Draw shift({s.batch, s.out}, dtype);
  Workspace workspace;
  const at::Tensor exact = at::conv2d(x.exact, weight.exact, bias.exact, s.stride, s.kernel / 2);
  const at::Tensor bare = cpu_convolution(x.value, weight.value, bias.value, s.stride, {}, workspace);
  ASSERT_TRUE(bare.defined());
  EXPECT_LT(relative_error(bare, exact), bound(dtype));
  Draw residual(exact.sizes(), dtype);
  residual.channels_last();
  const at::Tensor full = cpu_convolution(x.value, weight.value, bias.value, s.stride,
                                          {.size = {}, .shift = shift.value, .residual = residual.value}, workspace);
  EXPECT_LT(relative_error(full, exact + shift.exact.view({s.batch, s.out, 1, 1}) + residual.exact), bound(dtype));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, ConvolutionProduct,
    testing::Combine(testing::Values(ConvolutionShape{2, 32, 48, 8, 8, 3, 1}, ConvolutionShape{1, 6, 33, 5, 7, 3, 1},
                                     ConvolutionShape{3, 16, 16, 9, 5, 3, 2}, ConvolutionShape{2, 64, 32, 4, 4, 1, 1},
                                     ConvolutionShape{1, 64, 96, 8, 8, 3, 1}, ConvolutionShape{2, 32, 48, 8, 8, 3, 2},
                                     ConvolutionShape{1, 320, 160, 20, 20, 3, 1},
                                     ConvolutionShape{2, 1314, 130, 7, 9, 3, 1},
                                     ConvolutionShape{1, 64, 40, 33, 64, 3, 1}),
                     testing::Values(at::kFloat, at::kBFloat16)));

TEST(ConvolutionProductTest, EnlargesItsInputLikeNearestNeighbour) {
  const c10::InferenceMode inference;
  ASDM_NEEDS_KERNELS(at::kFloat);
  Draw x({4, 32, 5, 4}, at::kFloat);
  x.channels_last();
  const Draw weight({32, 32, 3, 3}, at::kFloat);
  Workspace workspace;
  for (const auto& size : {std::vector<int64_t>{10, 8}, std::vector<int64_t>{9, 7}, std::vector<int64_t>{5, 8}}) {
    const at::Tensor expected = at::conv2d(at::upsample_nearest2d(x.exact, size), weight.exact, {}, 1, 1);
    for (const auto kernel : {&cpu_convolution, &cpu_winograd}) {
      const at::Tensor out =
          kernel(x.value, weight.value, {}, 1, {.size = size, .shift = {}, .residual = {}}, workspace);
      ASSERT_TRUE(out.defined());
      EXPECT_LT(relative_error(out, expected), bound(at::kFloat)) << size[0] << "x" << size[1];
    }
  }
}

TEST(ProductTest, LeavesWhatItCannotReadOrMustNotHideToTorch) {
  Workspace workspace;
  const at::Tensor x = at::randn({32, 8});
  const at::Tensor weight = at::randn({16, 8});
  EXPECT_FALSE(cpu_linear(x.to(at::kDouble), weight.to(at::kDouble), {}, {}, workspace).defined());
  EXPECT_FALSE(cpu_linear(x, weight.to(at::kBFloat16), {}, {}, workspace).defined());
  EXPECT_FALSE(cpu_linear(x, weight.clone().requires_grad_(true), {}, {}, workspace).defined());
  EXPECT_FALSE(cpu_linear(x.clone().requires_grad_(true), weight, {}, {}, workspace).defined());
  EXPECT_FALSE(cpu_linear(x, weight, {}, at::randn({32, 16}).requires_grad_(true), workspace).defined());
  const at::Tensor odd = at::randn({32, 7}).to(at::kBFloat16);
  const simd::Kernels* kernels = cpu_kernels(at::kBFloat16);
  EXPECT_EQ(cpu_linear(odd, at::randn({16, 7}).to(at::kBFloat16), {}, {}, workspace).defined(),
            kernels != nullptr && kernels->group == 1);
}

bool filters_by_winograd(at::ScalarType dtype) {
  const simd::Kernels* kernels = cpu_kernels(dtype);
  return kernels != nullptr && kernels->small_winograd.side > 0;
}

class WinogradProduct : public testing::TestWithParam<std::tuple<ConvolutionShape, at::ScalarType>> {};

TEST_P(WinogradProduct, EqualsTheFormulaWhereTheProcessorHasIt) {
  const c10::InferenceMode inference;
  const auto [s, dtype] = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  Draw x({s.batch, s.in, s.height, s.width}, dtype);
  x.channels_last();
  const Draw weight({s.out, s.in, 3, 3}, dtype);
  const Draw bias({s.out}, dtype);
  const Draw shift({s.batch, s.out}, dtype);
  Workspace workspace;
  const at::Tensor exact = at::conv2d(x.exact, weight.exact, bias.exact, 1, 1);
  Draw residual(exact.sizes(), dtype);
  residual.channels_last();
  const at::Tensor out = cpu_winograd(x.value, weight.value, bias.value, 1,
                                      {.size = {}, .shift = shift.value, .residual = residual.value}, workspace);
  ASSERT_EQ(out.defined(), filters_by_winograd(dtype));
  if (out.defined()) {
    EXPECT_LT(relative_error(out, exact + shift.exact.view({s.batch, s.out, 1, 1}) + residual.exact), bound(dtype));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, WinogradProduct,
                         testing::Combine(testing::Values(ConvolutionShape{2, 32, 48, 8, 8, 3, 1},
                                                          ConvolutionShape{1, 16, 16, 15, 9, 3, 1},
                                                          ConvolutionShape{3, 48, 64, 32, 33, 3, 1},
                                                          ConvolutionShape{1, 32, 48, 22, 23, 3, 1},
                                                          ConvolutionShape{2, 1280, 32, 16, 16, 3, 1},
                                                          ConvolutionShape{1, 336, 160, 40, 40, 3, 1}),
                                          testing::Values(at::kFloat, at::kBFloat16)));

/// Runs the kernels in so many threads, as long as it lives.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// Experts whose kernels differ from sample to sample, and the result that torch has for each sample.
struct MixedDraw {
  MixedDraw(const ConvolutionShape& s, at::ScalarType dtype)
      : x({s.batch, s.in, s.height, s.width}, dtype),
        bias({s.batch, s.out}, dtype),
        shift({s.batch, s.out}, dtype),
        residual({s.batch, s.out, (s.height - 1) / s.stride + 1, (s.width - 1) / s.stride + 1}, dtype),
        shares(at::rand({s.batch, kExperts}) - 0.3) {
    x.channels_last();
    residual.channels_last();
    at::Tensor mixed = at::zeros({s.batch, s.out, s.in, s.kernel, s.kernel}, at::kDouble);
    for (int64_t e = 0; e < kExperts; ++e) {
      const Draw expert({s.out, s.in, s.kernel, s.kernel}, dtype);
      experts.push_back(expert.value);
      mixed += shares.select(1, e).to(at::kDouble).view({-1, 1, 1, 1, 1}) * expert.exact;
    }
    std::vector<at::Tensor> samples;
    for (int64_t n = 0; n < s.batch; ++n) {
      samples.push_back(
          at::conv2d(x.exact.narrow(0, n, 1), mixed.select(0, n), bias.exact.select(0, n), s.stride, s.kernel / 2));
    }
    bare = at::cat(samples);
    full = bare + shift.exact.unsqueeze(-1).unsqueeze(-1) + residual.exact;
  }

  static constexpr int64_t kExperts = 3;
  Draw x, bias, shift, residual;
  at::Tensor shares;
  std::vector<at::Tensor> experts;
  at::Tensor bare;
  at::Tensor full;
};

using Convolve = decltype(&cpu_convolution);

/// Holds `kernel`, with a kernel and a bias for each sample, against torch in one thread and in several.
void expect_kernels_of_samples(Convolve kernel, const ConvolutionShape& shape, at::ScalarType dtype, bool runs) {
  const MixedDraw draw(shape, dtype);
  const MixedWeight weight(draw.experts, draw.shares);
  // In bf16 a mixed kernel is rounded like a stored one, and the result besides.
  const double limit = bound(dtype) * (dtype == at::kFloat ? 1.0 : 1.5);
  for (const int threads : {1, 2, 3, 4}) {
    const Threads scope(threads);
    Workspace workspace;
    const at::Tensor bare = kernel(draw.x.value, weight, draw.bias.value, shape.stride, {}, workspace);
    ASSERT_EQ(bare.defined(), runs);
    if (runs) {
      EXPECT_LT(relative_error(bare, draw.bare), limit) << threads << " threads";
      const at::Tensor full =
          kernel(draw.x.value, weight, draw.bias.value, shape.stride,
                 {.size = {}, .shift = draw.shift.value, .residual = draw.residual.value}, workspace);
      EXPECT_LT(relative_error(full, draw.full), limit) << threads << " threads";
    }
  }
}

class KernelsOfSamples : public testing::TestWithParam<std::tuple<ConvolutionShape, at::ScalarType>> {};

TEST_P(KernelsOfSamples, EqualOneConvolutionForEachInProducts) {
  const c10::InferenceMode inference;
  const auto [shape, dtype] = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  expect_kernels_of_samples(&cpu_convolution, shape, dtype, true);
}

TEST_P(KernelsOfSamples, EqualOneConvolutionForEachInWinogradsForm) {
  const c10::InferenceMode inference;
  const auto [s, dtype] = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  const bool pays = s.kernel == 3 && s.stride == 1 && s.in % 16 == 0 && s.out % 16 == 0 &&
                    s.batch * ((s.height + 1) / 2) * ((s.width + 1) / 2) >= 32;
  expect_kernels_of_samples(&cpu_winograd, s, dtype, pays && filters_by_winograd(dtype));
}

// One block and many; tiles of every number of rows; panels of every width; more samples than are packed at a time.
INSTANTIATE_TEST_SUITE_P(
    Shapes, KernelsOfSamples,
    testing::Combine(testing::Values(ConvolutionShape{1, 32, 48, 16, 16, 3, 1}, ConvolutionShape{2, 32, 48, 8, 8, 3, 1},
                                     ConvolutionShape{2, 48, 80, 31, 33, 3, 1},
                                     ConvolutionShape{3, 16, 112, 13, 9, 3, 1},
                                     ConvolutionShape{5, 16, 32, 23, 30, 3, 1},
                                     ConvolutionShape{2, 336, 64, 15, 15, 3, 1}, ConvolutionShape{3, 6, 33, 5, 7, 3, 1},
                                     ConvolutionShape{2, 34, 16, 3, 2, 3, 1}, ConvolutionShape{2, 16, 48, 4, 4, 3, 1},
                                     ConvolutionShape{5, 16, 16, 9, 5, 3, 2},
                                     ConvolutionShape{2, 64, 32, 30, 30, 1, 1}),
                     testing::Values(at::kFloat, at::kBFloat16)));

TEST(WinogradProductTest, LeavesWhatItDoesNotFilterToTheOthers) {
  const c10::InferenceMode inference;
  ASDM_NEEDS_KERNELS(at::kFloat);
  Workspace workspace;
  const auto runs = [&](at::IntArrayRef image, at::IntArrayRef kernel, int64_t stride, at::ScalarType dtype) {
    const Draw weight(kernel, dtype);
    return cpu_winograd(Draw(image, dtype).channels_last().value, weight.value, {}, stride, {}, workspace).defined();
  };
  EXPECT_TRUE(runs({2, 16, 8, 8}, {16, 16, 3, 3}, 1, at::kFloat));
  EXPECT_FALSE(runs({2, 16, 8, 8}, {16, 16, 3, 3}, 2, at::kFloat));
  EXPECT_FALSE(runs({2, 16, 8, 8}, {16, 16, 1, 1}, 1, at::kFloat));
  EXPECT_FALSE(runs({2, 12, 8, 8}, {16, 12, 3, 3}, 1, at::kFloat));
  EXPECT_FALSE(runs({2, 16, 8, 8}, {4, 16, 3, 3}, 1, at::kFloat));
  // Where bf16 is multiplied in pairs, the transforms would cost too many digits.
  EXPECT_EQ(runs({2, 16, 8, 8}, {16, 16, 3, 3}, 1, at::kBFloat16), filters_by_winograd(at::kBFloat16));
}

class NormKernel : public testing::TestWithParam<at::ScalarType> {};

TEST_P(NormKernel, EqualsTheFormulaAlsoFarFromZero) {
  const c10::InferenceMode inference;
  const at::ScalarType dtype = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  Workspace workspace;
  for (const double offset : {0.0, 100.0}) {
    const at::Tensor x = (at::randn({2, 96, 9, 11}) + offset).to(dtype).contiguous(at::MemoryFormat::ChannelsLast);
    const Draw gain({96}, dtype);
    const Draw bias({96}, dtype);
    for (const bool with_silu : {false, true}) {
      const at::Tensor out = cpu_group_norm(x, gain.value, bias.value, 32, 1e-5, with_silu, workspace);
      ASSERT_TRUE(out.defined());
      const at::Tensor normed = at::group_norm(x.to(at::kDouble), 32, gain.exact, bias.exact, 1e-5);
      // Far from zero fp32 has fewer digits left for the differences: 1e2 * 2^-24.
      EXPECT_LT(relative_error(out, with_silu ? at::silu(normed) : normed), bound(dtype) + offset * 1e-7);
    }
  }
}

TEST_P(NormKernel, MeansOfChannelsAreThoseOfTorchInDouble) {
  const c10::InferenceMode inference;
  const at::ScalarType dtype = GetParam();
  for (const double offset : {0.0, 100.0}) {
    const at::Tensor x = (at::randn({3, 40, 9, 23}) + offset).to(dtype);
    const at::Tensor expected = x.to(at::kDouble).mean({2, 3});
    for (const at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const at::Tensor means = channel_means(x.contiguous(format));
      EXPECT_EQ(means.scalar_type(), dtype);
      EXPECT_LT(relative_error(means, expected), bound(dtype));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, NormKernel, testing::Values(at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace asdm
