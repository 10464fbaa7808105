// Reads the headers of safetensors files: names, shapes and where bytes lie. Knows no torch and no model. Whether bytes
// fit shapes and element types is for the format's own library, which every file goes through when it is loaded.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace asdm {

/// One tensor of a file.
struct TensorEntry {
  std::string name;
  std::vector<int64_t> shape;  ///< empty for a scalar
  int64_t begin = 0;           ///< in bytes, behind the header
  int64_t end = 0;
};

/// The header of a file. Read once and never mapped: a file that another program cuts short gives an error,
/// where a mapping would end the process.
class SafetensorsFile {
 public:
  /// Reads the header of `path`: its length is compared with the file's before anything is allocated, and no tensor
  /// lies outside of the file. Throws Error naming the file and the fault.
  [[nodiscard]] static SafetensorsFile open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  /// The header's `__metadata__`; empty where there is none.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// By name.
  [[nodiscard]] const std::vector<TensorEntry>& tensors() const { return tensors_; }
  /// The bytes of one of tensors(). Throws Error where the file no longer has them.
  [[nodiscard]] std::string read(const TensorEntry& tensor) const;

 private:
  SafetensorsFile() = default;

  std::string path_;
  int64_t data_begin_ = 0;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorEntry> tensors_;
};

}  // namespace asdm
