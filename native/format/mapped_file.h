// A file's bytes in memory, read only. Knows nothing of file formats.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace asdm {

/// A whole file mapped into memory; unmapped when the last owner goes.
/// Note [Truncation under a mapping]: a file cut short by another program while it is mapped makes the operating
/// system end the process on access (SIGBUS); writers must replace files, not rewrite them in place.
class MappedFile {
 public:
  /// Throws Error naming `path` where it is no readable regular file.
  [[nodiscard]] static std::shared_ptr<const MappedFile> open(const std::string& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}

  void* data_;
  size_t size_;
};

}  // namespace asdm
