// A node: a schema and what it does, against the abstract Host. Knows no Python and no ComfyUI.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nodes/host.h"
#include "nodes/inputs.h"
#include "nodes/schema.h"

namespace asdm::nodes {

/// What one execution gives.
struct Result {
  std::vector<Value> outputs;               ///< in the order of the schema's outputs
  std::optional<std::string> ui_text = {};  ///< shown on the node
  Handle ui_image = {};                     ///< shown on the node
  std::string plan = {};                    ///< JSON that is to travel in pictures saved behind the node; else empty
};

/// Stateless: one object serves every graph and thread.
class Node {
 public:
  virtual ~Node() = default;

  [[nodiscard]] virtual NodeSchema schema() const = 0;

  /// Checks `values` against the schema, then runs. Throws Error naming "<node id>.<input>" for a bad value.
  [[nodiscard]] Result execute(Host& host, std::map<std::string, Value> values) const {
    return run(host, Inputs(schema(), std::move(values)));
  }

 private:
  virtual Result run(Host& host, const Inputs& inputs) const = 0;
};

}  // namespace asdm::nodes
