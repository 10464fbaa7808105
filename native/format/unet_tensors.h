// Which tensors of a file are a UNet's, under which prefix: files of people have many.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/format/safetensors.h"

namespace asdm {

struct NamedTensor {
  std::string name;  ///< without the prefix of the file
  const TensorEntry* entry = nullptr;
};

/// What stands before the name of a UNet's first convolution in `name`; none where it is no such tensor.
[[nodiscard]] std::optional<std::string_view> prefix_of(std::string_view name);

/// The tensors under the prefix of the UNet, less what says how it is sampled. What training or other models leave
/// beside them is logged by name.
[[nodiscard]] std::vector<NamedTensor> unet_tensors(const SafetensorsFile& file);

}  // namespace asdm
