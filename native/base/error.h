// Typed errors of the core: where, what was expected, what came.
// Knows nothing of torch, JSON or Python.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace asdm {

/// What kind of fault an Error reports; the Python binding picks the exception type by it.
enum class ErrorKind {
  kInvalidInput,  ///< the caller passed something that cannot be used (ValueError)
  kUnsupported,   ///< valid elsewhere, but not something this pack can run (RuntimeError)
  kInternal,      ///< a fault of this pack (RuntimeError, worded as such)
};

/// An error that says where it happened, what was expected there and what came instead.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string where, std::string expected, std::string got);

  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  [[nodiscard]] const std::string& where() const noexcept { return where_; }

  /// The same error, which happened inside of `outer`: at "<outer>.<where>".
  [[nodiscard]] Error inside(std::string_view outer) const;

 private:
  ErrorKind kind_;
  std::string where_;
  std::string expected_;
  std::string got_;
};

/// The caller's input at `where` is unusable.
[[nodiscard]] Error invalid_input(std::string_view where, std::string_view expected, std::string_view got);

/// `name` is not one of `known`; the message lists them all.
[[nodiscard]] Error unknown_name(std::string_view where, std::string_view name, const std::vector<std::string>& known);

/// Valid input that this pack has no way to run.
[[nodiscard]] Error unsupported(std::string_view where, std::string_view expected, std::string_view got);

/// A fault of this pack, never of the user.
[[nodiscard]] Error internal_fault(std::string_view where, std::string_view what);

/// "a, b, c".
[[nodiscard]] std::string join(const std::vector<std::string>& names, std::string_view separator = ", ");

}  // namespace asdm
