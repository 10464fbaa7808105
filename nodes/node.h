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
};

/// Stateless: one object serves every graph and thread.
class Node {
 public:
  virtual ~Node() = default;

  [[nodiscard]] virtual NodeSchema schema() const = 0;

  /// Checks `widgets`, with defaults for those that are not there, before there is any MODEL: what a user can mend is
  /// told when a graph is queued. Gives what they ask to inherit, if anything, which a UNet has yet to allow. Throws
  /// Error as execute() does.
  [[nodiscard]] std::optional<Inheritance> check(std::map<std::string, Value> widgets) const {
    return inheritance_of(Inputs(schema(), std::move(widgets), Inputs::Part::kWidgets));
  }

  /// Checks `values` against the schema, then runs. Throws Error naming "<node id>.<input>" for a bad value.
  [[nodiscard]] Result execute(Host& host, std::map<std::string, Value> values) const {
    return run(host, Inputs(schema(), std::move(values)));
  }

 protected:
  /// What the widgets ask to inherit; nothing for a node that inherits nothing. Throws Error where they make no sense.
  [[nodiscard]] virtual std::optional<Inheritance> inheritance_of(const Inputs&) const { return std::nullopt; }

 private:
  virtual Result run(Host& host, const Inputs& inputs) const = 0;
};

}  // namespace asdm::nodes
