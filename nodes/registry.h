// The table of all nodes.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "nodes/node.h"

namespace asdm::nodes {

/// Every node, in the order menus and docs show them.
[[nodiscard]] const std::vector<std::unique_ptr<Node>>& all_nodes();

/// Throws Error listing the known ids for an unknown one.
[[nodiscard]] const Node& find_node(std::string_view id);

}  // namespace asdm::nodes
