// A safetensors file, bytes as they come. The first byte chooses whether all of it is the file, or the header of one.
#include "native/format/safetensors.h"
#include "tests/fuzz/file_in_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kDataBytes = 64;
  if (size == 0) {
    return 0;
  }
  static asdm::fuzzing::FileInMemory memory;
  const std::string content(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string bytes = data[0] == 'f' ? content : asdm::fuzzing::safetensors_of(content, kDataBytes);
  const std::string& path = memory.hold(bytes);
  asdm::fuzzing::refuses_or([&] {
    const auto file = asdm::SafetensorsFile::open(path);
    for (const asdm::TensorEntry& tensor : file.tensors()) {
      const std::string read = file.read(tensor);
      asdm::fuzzing::require(static_cast<int64_t>(read.size()) == tensor.end - tensor.begin, "as many bytes as it has");
    }
  });
  return 0;
}
