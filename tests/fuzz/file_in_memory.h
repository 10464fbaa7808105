// A file without a disk, for targets that read files by their path.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/fuzz/fuzzed.h"

namespace asdm::fuzzing {

class FileInMemory {
 public:
  FileInMemory() : descriptor_(::memfd_create("fuzzed", 0)), path_("/proc/self/fd/" + std::to_string(descriptor_)) {
    require(descriptor_ >= 0, "a file in memory");
  }
  FileInMemory(const FileInMemory&) = delete;
  FileInMemory& operator=(const FileInMemory&) = delete;
  ~FileInMemory() { ::close(descriptor_); }

  /// Makes `bytes` its whole content; gives its path.
  const std::string& hold(std::string_view bytes) {
    require(::ftruncate(descriptor_, static_cast<off_t>(bytes.size())) == 0, "a file cut to size");
    require(::pwrite(descriptor_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
            "a file written");
    return path_;
  }

 private:
  int descriptor_;
  std::string path_;
};

/// A safetensors file of this header and `data_bytes` zeros.
inline std::string safetensors_of(const std::string& header, size_t data_bytes) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes += static_cast<char>((uint64_t{header.size()} >> (8 * i)) & 0xFF);
  }
  return bytes + header + std::string(data_bytes, '\0');
}

}  // namespace asdm::fuzzing
