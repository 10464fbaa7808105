#include "native/unet/layer_units.h"

#include <sstream>
#include <utility>

namespace asdm {

at::Tensor fitting(at::Tensor value, at::IntArrayRef expected, const std::string& address) {
  if (value.sizes() != expected) {
    std::ostringstream what;
    what << address << " must be " << expected << ", was stored as " << value.sizes();
    throw InheritedFeatureMisfit(what.str());
  }
  return value;
}

at::Tensor LayerUnits::given(int64_t unit, at::IntArrayRef sizes) {
  at::Tensor value = features_.inherited(layer_.first_unit + unit);
  return value.defined() ? fitting(std::move(value), sizes, layer_.address) : value;
}

}  // namespace asdm
