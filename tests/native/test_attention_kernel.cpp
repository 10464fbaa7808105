#include <ATen/TensorOperators.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <tuple>

#include "native/layers/attention_kernel.h"
#include "native/layers/cpu_kernels.h"
#include "tests/native/needed_kernels.h"

namespace asdm {
namespace {

struct AttentionShape {
  int64_t batch, heads, tokens, context, dim_head;
};

at::Tensor by_head(const at::Tensor& x, int64_t heads) {
  return x.to(at::kDouble).view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  Workspace workspace;
  return cpu_attention(q, k, v, heads, workspace);
}

/// The formula in double precision on the same inputs.
at::Tensor reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  return at::scaled_dot_product_attention(by_head(q, heads), by_head(k, heads), by_head(v, heads))
      .transpose(1, 2)
      .reshape(q.sizes());
}

double relative_error(const at::Tensor& value, const at::Tensor& expected) {
  return ((value.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

/// fp32: the order of a sum of some thousand terms. bf16: weights and result are rounded, 2^-9 each.
double bound(at::ScalarType dtype) { return dtype == at::kFloat ? 2e-6 : 5e-3; }

class AttentionKernel : public testing::TestWithParam<std::tuple<AttentionShape, at::ScalarType>> {};

TEST_P(AttentionKernel, EqualsTheFormulaWhereTheProcessorHasIt) {
  const c10::InferenceMode inference;
  const auto [shape, dtype] = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  const auto [batch, heads, tokens, context, dim_head] = shape;
  const auto draw = [&, width = heads * dim_head, rows = batch, type = dtype](int64_t length) {
    return (at::randn({rows, length, width}) * 2.0).to(type);
  };
  const at::Tensor q = draw(tokens);
  const at::Tensor k = draw(context);
  const at::Tensor v = draw(context);
  const at::Tensor out = attend(q, k, v, heads);
  ASSERT_TRUE(out.defined());
  EXPECT_EQ(out.scalar_type(), dtype);
  EXPECT_LT(relative_error(out, reference(q, k, v, heads)), bound(dtype));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionKernel,
    testing::Combine(testing::Values(AttentionShape{2, 8, 64, 64, 40}, AttentionShape{1, 8, 35, 77, 40},
                                     AttentionShape{2, 2, 13, 513, 80}, AttentionShape{1, 3, 12, 1, 160},
                                     AttentionShape{3, 5, 1025, 1025, 64}, AttentionShape{1, 8, 9, 31, 4}),
                     testing::Values(at::kFloat, at::kBFloat16)));

class AttentionScores : public testing::TestWithParam<at::ScalarType> {};

TEST_P(AttentionScores, FarApartAndEqualStayFinite) {
  const c10::InferenceMode inference;
  const at::ScalarType dtype = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  const at::Tensor v = at::randn({1, 700, 64}).to(dtype);
  for (const double size : {0.0, 300.0}) {
    const at::Tensor q = (at::randn({1, 20, 64}) * size).to(dtype);
    const at::Tensor k = (at::randn({1, 700, 64}) * size).to(dtype);
    const at::Tensor out = attend(q, k, v, 1);
    ASSERT_TRUE(out.defined());
    EXPECT_LT(relative_error(out, reference(q, k, v, 1)), 1e-2);
  }
}

TEST_P(AttentionScores, MayRiseFromKeyToKey) {
  const c10::InferenceMode inference;
  const at::ScalarType dtype = GetParam();
  ASDM_NEEDS_KERNELS(dtype);
  const at::Tensor rise = at::linspace(-4.0, 4.0, 700).view({1, 700, 1});  // of the scores: by a power of 2^92 in all
  const at::Tensor q = (at::randn({1, 40, 64}) * 0.1 + 1.0).to(dtype);
  const at::Tensor k = (at::randn({1, 700, 64}) * 0.1 + rise).to(dtype);
  const at::Tensor v = (at::randn({1, 700, 64})).to(dtype);
  // A score of 2^5 is itself rounded by 2^-19 in fp32.
  const double limit = dtype == at::kFloat ? 1e-5 : bound(dtype);
  EXPECT_LT(relative_error(attend(q, k, v, 1), reference(q, k, v, 1)), limit);
}

INSTANTIATE_TEST_SUITE_P(DTypes, AttentionScores, testing::Values(at::kFloat, at::kBFloat16));

TEST(AttentionKernelTest, LeavesOtherCallsToTorch) {
  const c10::InferenceMode inference;
  const at::Tensor fp64 = at::randn({1, 8, 40}, at::kDouble);
  EXPECT_FALSE(attend(fp64, fp64, fp64, 1).defined());
  const at::Tensor odd_head = at::randn({1, 8, 5}).to(at::kBFloat16);
  const simd::Kernels* kernels = cpu_kernels(at::kBFloat16);
  EXPECT_EQ(attend(odd_head, odd_head, odd_head, 1).defined(), kernels != nullptr && kernels->group == 1);
  const at::Tensor mixed = at::randn({1, 8, 40});
  EXPECT_FALSE(attend(mixed, mixed, mixed.to(at::kBFloat16), 1).defined());
}

TEST(AttentionKernelTest, LeavesContextsOfAnotherBatchOrWidthToTorch) {
  const c10::InferenceMode inference;
  const at::Tensor q = at::randn({4, 8, 40}).to(at::kBFloat16);
  const at::Tensor other_batch = at::randn({1, 32, 40}).to(at::kBFloat16);
  const at::Tensor other_width = at::randn({4, 8, 80}).to(at::kBFloat16);
  EXPECT_FALSE(attend(q, other_batch, other_batch, 1).defined());
  EXPECT_FALSE(attend(q, other_width, other_width, 1).defined());
  EXPECT_FALSE(attend(q, q, at::randn({4, 9, 40}).to(at::kBFloat16), 1).defined());
}

TEST(AttentionKernelTest, LeavesGradientsToTorch) {
  const at::Tensor x = at::randn({1, 8, 40}).to(at::kBFloat16).requires_grad_(true);
  EXPECT_FALSE(attend(x, x, x, 1).defined());
}

}  // namespace
}  // namespace asdm
