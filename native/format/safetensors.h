// Strict reader of safetensors files. Knows no torch and no model: names, shapes and bytes only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "native/format/mapped_file.h"

namespace asdm {

/// Element types of the format whose size is whole bytes.
enum class DType {
  kBool, kU8, kI8, kF8E4M3, kF8E5M2, kF8E8M0, kI16, kU16, kF16, kBF16, kI32, kU32, kF32, kI64, kU64, kF64, kC64,
};

/// The format's name: "F32", "BF16", ...
[[nodiscard]] std::string_view to_string(DType dtype);
[[nodiscard]] int64_t size_of(DType dtype);

/// One tensor of a file. `bytes` is row-major, little-endian, maybe unaligned, and valid while the file's mapping is.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  ///< empty for a scalar
  std::span<const std::byte> bytes;
};

/// An open, fully checked safetensors file. Copies share the mapping.
class SafetensorsFile {
 public:
  /// Maps `path` and checks all of its header: length against file size before anything is allocated, JSON, dtypes,
  /// shapes against byte ranges, and that the ranges cover the data part without overlap and gap.
  /// Throws Error naming the file and the fault.
  [[nodiscard]] static SafetensorsFile open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  /// The header's `__metadata__`; empty where there is none.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// In the order of the bytes.
  [[nodiscard]] const std::vector<TensorView>& tensors() const { return tensors_; }
  /// Keeps every `TensorView::bytes` valid.
  [[nodiscard]] std::shared_ptr<const MappedFile> mapping() const { return mapping_; }

 private:
  SafetensorsFile() = default;

  std::string path_;
  std::shared_ptr<const MappedFile> mapping_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorView> tensors_;
};

}  // namespace asdm
