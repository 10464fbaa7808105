// One maker per node file. The registry's table alone calls them.
#pragma once

#include <memory>

#include "nodes/node.h"

namespace asdm::nodes {

[[nodiscard]] std::unique_ptr<Node> make_load_unet();
[[nodiscard]] std::unique_ptr<Node> make_native_unet();
[[nodiscard]] std::unique_ptr<Node> make_feature_inheritance();
[[nodiscard]] std::unique_ptr<Node> make_apply_plan();
[[nodiscard]] std::unique_ptr<Node> make_calibrate_plan();
[[nodiscard]] std::unique_ptr<Node> make_wrap_sampler();
[[nodiscard]] std::unique_ptr<Node> make_switch_unets();
[[nodiscard]] std::unique_ptr<Node> make_assemble_unet();
[[nodiscard]] std::unique_ptr<Node> make_me_cond_conv();
[[nodiscard]] std::unique_ptr<Node> make_save_unet();
[[nodiscard]] std::unique_ptr<Node> make_distil_unet();
[[nodiscard]] std::unique_ptr<Node> make_report();
[[nodiscard]] std::unique_ptr<Node> make_compare_images();

}  // namespace asdm::nodes
