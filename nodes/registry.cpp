#include "nodes/registry.h"

#include <string>

#include "native/base/error.h"
#include "nodes/factories.h"

namespace asdm::nodes {
namespace {

// An explicit table: the linker drops self-registering statics out of a static library.
std::vector<std::unique_ptr<Node>> make_all() {
  std::vector<std::unique_ptr<Node>> nodes;
  nodes.push_back(make_load_unet());
  nodes.push_back(make_native_unet());
  nodes.push_back(make_feature_inheritance());
  nodes.push_back(make_apply_plan());
  nodes.push_back(make_calibrate_plan());
  nodes.push_back(make_wrap_sampler());
  nodes.push_back(make_switch_unets());
  nodes.push_back(make_report());
  nodes.push_back(make_compare_images());
  nodes.push_back(make_assemble_unet());
  nodes.push_back(make_me_cond_conv());
  nodes.push_back(make_distil_unet());
  nodes.push_back(make_save_unet());
  return nodes;
}

}  // namespace

const std::vector<std::unique_ptr<Node>>& all_nodes() {
  static const std::vector<std::unique_ptr<Node>> nodes = make_all();
  return nodes;
}

const Node& find_node(std::string_view id) {
  std::vector<std::string> known;
  for (const std::unique_ptr<Node>& node : all_nodes()) {
    known.push_back(node->schema().id);
    if (known.back() == id) {
      return *node;
    }
  }
  throw unknown_name("node", id, known);
}

}  // namespace asdm::nodes
