#include "nodes/unet_check.h"

#include <string>

#include "native/base/error.h"
#include "native/format/unet_spec.h"

namespace asdm::nodes {

void require_unet(Host& host, const Handle& model, std::string_view where) {
  const ModelDescription description = host.describe_model(model);
  if (description.spec_json.empty()) {
    throw unsupported(where, "the UNet of " + join(family_titles()),
                      description.class_name + ": " + description.refusal);
  }
}

}  // namespace asdm::nodes
