#include "nodes/unet_check.h"

#include <utility>

#include "native/base/error.h"

namespace asdm::nodes {

UNetSpec require_unet(Host& host, const Handle& model, std::string_view where) {
  ModelDescription description = host.describe_model(model);
  if (!description.spec) {
    throw unsupported(where, "the UNet of " + join(family_titles()),
                      description.class_name + ": " + description.refusal);
  }
  return *std::move(description.spec);
}

}  // namespace asdm::nodes
