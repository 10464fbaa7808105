#include "native/format/mapped_file.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/base/error.h"

namespace asdm {
namespace {

/// Closes the descriptor; the mapping outlives it.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Error system_fault(const std::string& path, int code) {
  return invalid_input(path, "a readable file", std::generic_category().message(code));
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    throw system_fault(path, errno);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    throw system_fault(path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    throw invalid_input(path, "a regular file", S_ISDIR(status.st_mode) ? "a folder" : "something else");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) {  // mmap refuses a length of 0
    return std::shared_ptr<const MappedFile>(new MappedFile(nullptr, 0));
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) {
    throw system_fault(path, errno);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(data, size));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(data_, size_);
  }
}

}  // namespace asdm
