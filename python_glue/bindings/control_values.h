// Residuals of ControlNets as Python has them: {"input", "middle", "output"}, each a list of tensors and None.
#pragma once

#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "native/inheritance/control.h"

namespace asdm::python {

using ControlLists = std::map<std::string, std::vector<std::optional<at::Tensor>>>;
inline constexpr std::array kControlLists{"input", "middle", "output"};

/// A list that is missing holds nothing.
inline Control control_of(const ControlLists& given) {
  Control control;
  for (size_t i = 0; i < kControlLists.size(); ++i) {
    if (const auto found = given.find(kControlLists[i]); found != given.end()) {
      for (const std::optional<at::Tensor>& residual : found->second) {
        control.lists()[i]->push_back(residual.value_or(at::Tensor()));
      }
    }
  }
  return control;
}

inline ControlLists to_lists(const Control& control) {
  ControlLists lists;
  for (size_t i = 0; i < kControlLists.size(); ++i) {
    for (const at::Tensor& residual : *control.lists()[i]) {
      lists[kControlLists[i]].push_back(residual.defined() ? std::optional(residual) : std::nullopt);
    }
  }
  return lists;
}

}  // namespace asdm::python
