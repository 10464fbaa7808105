#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "native/layers/workspace.h"

namespace asdm {
namespace {

TEST(WorkspaceTest, UsesMemoryAgainOnceNobodyHoldsIt) {
  Workspace workspace;
  at::Tensor first = workspace.empty({64, 1024}, at::kFloat);
  const void* place = first.const_data_ptr();
  const at::Tensor view = first.narrow(0, 1, 2);
  first.reset();
  EXPECT_NE(workspace.empty({64, 1024}, at::kFloat).const_data_ptr(), place);  // the view still reads it
  EXPECT_EQ(workspace.bytes(), 2 * 64 * 1024 * 4);
  workspace.release();
  EXPECT_EQ(workspace.bytes(), 64 * 1024 * 4);
  const at::Tensor kept = workspace.empty({64, 1024}, at::kFloat);
  const void* again = kept.const_data_ptr();
  EXPECT_NE(again, place);
}

TEST(WorkspaceTest, ScratchGrowsInPlaceOfMultiplying) {
  Workspace workspace;
  for (const int64_t count : {100000, 300000, 200000, 50000}) {
    EXPECT_EQ(workspace.lanes(count).numel(), count);
  }
  EXPECT_EQ(workspace.bytes(), 300000 * 4);
  const at::Tensor large = workspace.lanes(250000);
  const at::Tensor small = workspace.lanes(50000);
  EXPECT_NE(large.const_data_ptr(), small.const_data_ptr());
  EXPECT_EQ(workspace.bytes(), (300000 + 50000) * 4);
}

TEST(WorkspaceTest, TensorsOutliveIt) {
  at::Tensor kept;
  {
    Workspace workspace;
    kept = workspace.empty({2, 32, 64, 64}, at::kFloat, at::MemoryFormat::ChannelsLast);
    kept.fill_(1.0);
  }
  EXPECT_TRUE(kept.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_EQ(kept.sum().item<double>(), 2.0 * 32 * 64 * 64);
}

}  // namespace
}  // namespace asdm
