// The values a node is called with, checked. The host checks widgets too, but not every caller comes through it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <variant>

#include "native/base/fields.h"
#include "nodes/host.h"
#include "nodes/schema.h"

namespace asdm::nodes {

/// Anything that goes into or comes out of a node. monostate stands for a missing value.
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, Handle>;

/// One call's values after the check: every input of the schema is there, of its kind, in its range or choices.
class Inputs {
 public:
  enum class Part {
    kAll,
    kWidgets,  ///< not what comes by links alone, such as a MODEL, nor widgets without a default
  };

  /// Fills in defaults. Throws Error naming "<node id>.<input>" for an unknown, missing, mistyped or too large value.
  Inputs(const NodeSchema& schema, std::map<std::string, Value> values, Part part = Part::kAll);

  [[nodiscard]] const std::string& node_id() const noexcept { return node_id_; }
  /// "<node id>.<input>", for messages of the node's own checks.
  [[nodiscard]] std::string where(const std::string& name) const;

  [[nodiscard]] const std::string& text(const std::string& name) const;
  [[nodiscard]] int64_t integer(const std::string& name) const;
  [[nodiscard]] double number(const std::string& name) const;
  [[nodiscard]] const Handle& handle(const std::string& name) const;
  /// Null where the optional input is not connected.
  [[nodiscard]] Handle optional_handle(const std::string& name) const;
  /// A struct of this node's inputs (native/base/fields.h).
  template <class Struct>
  [[nodiscard]] Struct read() const {
    Struct values;
    for_each_field<Struct>([&](const char* name, auto member) {
      values.*member = get<std::remove_reference_t<decltype(values.*member)>>(name);
    });
    return values;
  }

 private:
  template <typename T>
  const T& get(const std::string& name) const;

  std::string node_id_;
  std::map<std::string, Value> values_;
};

}  // namespace asdm::nodes
