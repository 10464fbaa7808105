// What one call of the UNet did: the nodes that it met, and the values that it leaves behind.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "native/inheritance/feature_store.h"

namespace asdm {

struct CallLedger {
  std::vector<NodeId> computed;
  std::vector<NodeId> inherited;                      ///< nodes whose last value stood in
  std::vector<NodeId> forecast;                       ///< nodes that a forecast stood in for
  std::vector<std::string> refusals;                  ///< why something was computed although it was to be inherited
  std::map<NodeId, SpatialSize> entered;              ///< size of what entered each block
  std::map<NodeId, KeptValue> kept;                   ///< what was computed and is to be stored
  std::map<ControlPlace, at::Tensor> control;         ///< what ControlNets gave, by the places that hold something
  std::map<NodeId, std::vector<at::Tensor>> derived;  ///< what was made of inherited values that are held
  bool guided = false;  ///< uncond was made from cond and the guidance, so that half of the batch ran

  [[nodiscard]] std::map<NodeId, at::Tensor> kept_values() const {
    std::map<NodeId, at::Tensor> values;
    for (const auto& [node, value] : kept) {
      values.emplace(node, value.value);
    }
    return values;
  }

  /// The call begins anew, for `reason`; what ControlNets gave was before it began.
  void restart(std::string reason) {
    CallLedger fresh;
    fresh.refusals = std::move(refusals);
    fresh.refusals.push_back(std::move(reason));
    fresh.control = std::move(control);
    *this = std::move(fresh);
  }
};

}  // namespace asdm
