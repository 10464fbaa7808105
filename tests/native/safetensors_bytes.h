// Writes safetensors files, sound and broken, for tests.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace asdm::testing {

/// 8 bytes little-endian length, the header, the data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes += static_cast<char>((uint64_t{header.size()} >> (8 * i)) & 0xFF);
  }
  return bytes + header + data;
}

/// Writes `bytes` to a file of the running test's own; gives its path.
inline std::string write_file(const std::string& bytes, const std::string& name = "file.safetensors") {
  const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string path = ::testing::TempDir() + "asdm_" + test->test_suite_name() + "_" + test->name() + "_" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace asdm::testing
