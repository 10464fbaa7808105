// Writes safetensors files, sound and broken, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace asdm::testing {

/// 8 bytes little-endian length, the header, the data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes += static_cast<char>((uint64_t{header.size()} >> (8 * i)) & 0xFF);
  }
  return bytes + header + data;
}

/// A folder of this process's own, gone when it ends.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_(::testing::TempDir() + "asdm_tests_XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw std::runtime_error("cannot make a folder in " + ::testing::TempDir());
    }
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Writes `bytes` to the file `name` in the process's temporary folder; gives its path.
inline std::string write_file(const std::string& bytes, const std::string& name = "file.safetensors") {
  static const TemporaryFolder folder;
  std::string path = folder.path() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace asdm::testing
