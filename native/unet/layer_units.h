// The units of one layer as inheritance knows them.
#pragma once

#include <stdexcept>

#include "native/inheritance/call_features.h"
#include "native/layers/unit_port.h"
#include "native/unet/topology.h"

namespace asdm {

/// An inherited feature no longer fits: a hook changed the resolution since it was stored.
class InheritedFeatureMisfit : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// `value`, the inherited feature of `address`. Throws InheritedFeatureMisfit where its shape is not `expected`.
[[nodiscard]] at::Tensor fitting(at::Tensor value, at::IntArrayRef expected, const std::string& address);

class LayerUnits final : public UnitPort {
 public:
  LayerUnits(CallFeatures& features, const LayerTopology& layer) : features_(features), layer_(layer) {}

  at::Tensor given(int64_t unit, at::IntArrayRef sizes) override;
  [[nodiscard]] bool wants(int64_t unit) const override { return features_.wants(layer_.first_unit + unit); }
  void computed(int64_t unit, const at::Tensor& value) override { features_.computed(layer_.first_unit + unit, value); }

 private:
  CallFeatures& features_;
  const LayerTopology& layer_;
};

}  // namespace asdm
