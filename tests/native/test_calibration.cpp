#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "native/assembly/calibration.h"
#include "native/assembly/losses.h"
#include "native/assembly/pruning_maps.h"
#include "native/format/unet_layout.h"
#include "tests/native/tiny_unet.h"

namespace asdm {
namespace {

using testing::difference;
using testing::noise;
using testing::TinyUNet;

std::vector<std::string> leaves_of_cuts(const char* map) {
  const UNetSpec full = testing::tiny_spec("sd15");
  std::vector<std::string> leaves;
  for (const Cut& cut : cuts_of(UNet(full), UNet(without(full, pruning_map(map, full))))) {
    leaves.push_back(cut.leaf);
  }
  return leaves;
}

TEST(Calibration, ACutIsMendedInTheLayerBeforeIt) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(leaves_of_cuts("s0"), (Names{"input_blocks.1.1.proj_out", "output_blocks.9.1.proj_out"}));
  EXPECT_EQ(leaves_of_cuts("thin"), (Names{"input_blocks.2.0.out_layers.3", "output_blocks.9.0.out_layers.3",
                                           "output_blocks.10.0.out_layers.3"}));
}

TEST(Calibration, TheFitIsTheLeastSquaredError) {
  const at::Tensor b = noise({3, 500}, 1).to(at::kDouble);
  const at::Tensor gain = at::tensor({2.0, -1.0, 0.5}, at::kDouble);
  const at::Tensor shift = at::tensor({0.0, 3.0, -1.0}, at::kDouble);
  const at::Tensor d = gain.unsqueeze(1) * b + shift.unsqueeze(1);
  const at::Tensor moments =
      at::stack({at::ones_like(b).sum(1), b.sum(1), b.square().sum(1), d.sum(1), (b * d).sum(1)});
  const auto [found_gain, found_shift] = fit_cut(moments);
  EXPECT_LT(difference(found_gain, gain), 1e-6);
  EXPECT_LT(difference(found_shift, shift), 1e-6);
}

TEST(Calibration, BringsTheBlockNearerToTheTeachers) {
  TinyUNet teacher;
  const UNetSpec spec = without(teacher.unet.spec(), {"in.2", "out.10"});
  const UNet student(spec);
  std::vector<LeafTensors> tensors;
  for (const LeafInfo& leaf : student.leaves()) {
    for (size_t i = 0; i < teacher.tensors.size(); ++i) {
      if (teacher.unet.leaves()[i].name == leaf.name) {
        tensors.push_back(teacher.tensors[i]);
        tensors.back().weight = tensors.back().weight.clone();
        tensors.back().bias = tensors.back().bias.defined() ? tensors.back().bias.clone() : at::Tensor();
      }
    }
  }
  ResidentWeights weights(student.leaves(), tensors);
  const ForwardInputs inputs = teacher.inputs(8, 8, 2);
  for (const Cut& cut : cuts_of(teacher.unet, student)) {
    const auto error = [&] {
      const at::Tensor wanted =
          teacher.unet.trace(inputs, teacher.weights, {{cut.teacher}, false, {}}).blocks.at(cut.teacher);
      return mean_squared_error(student.trace(inputs, weights, {{cut.student}, false, {}}).blocks.at(cut.student),
                                wanted)
          .mean()
          .item<double>();
    };
    const double before = error();
    const auto [gain, shift] = fit_cut(cut_moments(cut, inputs, teacher.unet, teacher.weights, student, weights));
    for (size_t leaf = 0; leaf < tensors.size(); ++leaf) {
      if (student.leaves()[leaf].name == cut.leaf) {
        tensors[leaf].weight.mul_(gain.to(at::kFloat).view({-1, 1, 1, 1}));
        tensors[leaf].bias.mul_(gain.to(at::kFloat)).add_(shift.to(at::kFloat));
      }
    }
    EXPECT_LT(error(), 0.95 * before) << cut.block;
  }
}

}  // namespace
}  // namespace asdm
