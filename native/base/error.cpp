#include "native/base/error.h"

#include <algorithm>
#include <utility>

#include "native/base/nearest_name.h"

namespace asdm {
namespace {

/// How many bytes the character of UTF-8 has that `text` begins with; 0 where it begins with none.
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
  const unsigned lead = byte(0);
  // What the second byte must lie between, so that nothing is written longer than it is, is a surrogate or too large.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  for (size_t at = 1; at < length; ++at) {
    if (byte(at) < (at == 1 ? low : 0x80) || byte(at) > (at == 1 ? high : 0xBF)) {
      return 0;
    }
  }
  return length;
}

/// `text` with U+FFFD for each byte that is not UTF-8: messages quote what came, and Python reads them as UTF-8.
std::string readable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = character_length(text);
    out += length == 0 ? "\xEF\xBF\xBD" : text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

constexpr size_t kMaxShown = 4000;  // bytes of each of the three: messages go to a front end

/// `text` without its middle where it is long.
std::string cut(const std::string& text) {
  return text.size() <= kMaxShown ? text
                                  : text.substr(0, kMaxShown / 2) + " ... (" + std::to_string(text.size()) +
                                        " bytes) ... " + text.substr(text.size() - kMaxShown / 4);
}

std::string compose(ErrorKind kind, const std::string& where, const std::string& expected, const std::string& got) {
  if (kind == ErrorKind::kInternal) {
    return readable(cut(where) + ": internal fault of ComfyUI-ASDM, please report it: " + cut(got));
  }
  return readable(cut(where) + ": expected " + cut(expected) + ", got " + cut(got));
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
  return unknown_name_near(where, name, known, nearest_name(name, known));
}

Error unknown_name_near(std::string_view where, std::string_view name, const std::vector<std::string>& known,
                        const std::string& nearest) {
  const std::string meant = nearest.empty() ? "" : "; did you mean '" + nearest + "'?";
  return {ErrorKind::kInvalidInput, std::string(where), "one of: " + join(known),
          "'" + std::string(name) + "'" + meant};
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
