// The names and shapes of a UNet file, in any layout: which full UNet it is of, what it lacks, where each tensor
// stands. One tensor a line, its name and its sizes; a line that begins with '{' is the UNetSpec that the file carries.
#include <map>
#include <set>

#include "native/base/words.h"
#include "native/format/strict_json.h"
#include "native/format/unet_file.h"
#include "native/format/unet_layout.h"
#include "tests/fuzz/file_in_memory.h"

namespace {

using asdm::fuzzing::require;

std::string header_of(std::string_view text) {
  nlohmann::json header = nlohmann::json::object();
  for (const std::string& line : asdm::words_of(text, "\n")) {
    if (line.starts_with('{')) {
      header["__metadata__"][std::string(asdm::kSpecMetadataKey)] = line;
      continue;
    }
    const std::vector<std::string> words = asdm::words_of(line, " ");
    if (words.empty() || words.front() == "__metadata__") {
      continue;
    }
    std::vector<uint64_t> shape;
    for (size_t i = 1; i < words.size() && i <= 5; ++i) {
      shape.push_back(std::strtoull(words[i].c_str(), nullptr, 10));
    }
    header[words.front()] = {{"dtype", "F16"}, {"shape", shape}, {"data_offsets", {0, 0}}};
  }
  return header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static asdm::fuzzing::FileInMemory memory;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string& path = memory.hold(asdm::fuzzing::safetensors_of(header_of(text), 0));
  asdm::fuzzing::refuses_or([&] {
    const auto file = asdm::SafetensorsFile::open(path);
    const asdm::UNetFile unet = asdm::read_unet_file(file);
    unet.spec.validate();
    require(!asdm::make_layout(unet.spec).empty(), "what was found has a layout");
    std::set<std::string> present;
    for (const asdm::TensorEntry& tensor : file.tensors()) {
      present.insert(tensor.name);
    }
    for (const auto& [name, name_in_file] : unet.names) {
      require(present.erase(name_in_file) == 1, "each name stands for a tensor of its own in the file");
    }
  });
  return 0;
}
