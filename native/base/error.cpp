#include "native/base/error.h"

#include <utility>

namespace asdm {
namespace {

std::string compose(ErrorKind kind, const std::string& where, const std::string& expected, const std::string& got) {
  if (kind == ErrorKind::kInternal) {
    return where + ": internal fault of ComfyUI-ASDM, please report it: " + got;
  }
  return where + ": expected " + expected + ", got " + got;
}

}  // namespace

Error::Error(ErrorKind kind, std::string where, std::string expected, std::string got)
    : std::runtime_error(compose(kind, where, expected, got)),
      kind_(kind),
      where_(std::move(where)),
      expected_(std::move(expected)),
      got_(std::move(got)) {}

Error Error::inside(std::string_view outer) const {
  return {kind_, std::string(outer) + "." + where_, expected_, got_};
}

Error invalid_input(std::string_view where, std::string_view expected, std::string_view got) {
  return {ErrorKind::kInvalidInput, std::string(where), std::string(expected), std::string(got)};
}

Error unknown_name(std::string_view where, std::string_view name, const std::vector<std::string>& known) {
  return {ErrorKind::kInvalidInput, std::string(where), "one of: " + join(known), "'" + std::string(name) + "'"};
}

Error unsupported(std::string_view where, std::string_view expected, std::string_view got) {
  return {ErrorKind::kUnsupported, std::string(where), std::string(expected), std::string(got)};
}

Error internal_fault(std::string_view where, std::string_view what) {
  return {ErrorKind::kInternal, std::string(where), "", std::string(what)};
}

std::string join(const std::vector<std::string>& names, std::string_view separator) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) {
      out += separator;
    }
    out += name;
  }
  return out;
}

}  // namespace asdm
