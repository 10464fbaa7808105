// What every fuzz target holds: whatever comes in, either the answer is sound, or an Error says what is wrong with it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "native/base/error.h"

namespace asdm::fuzzing {

/// Ends the process, which libFuzzer takes for a finding, unless `sound`.
inline void require(bool sound, std::string_view what) {
  if (!sound) {
    std::fprintf(stderr, "not so: %.*s\n", static_cast<int>(what.size()), what.data());
    std::abort();
  }
}

/// Whether Python can read `text` as UTF-8; else a message becomes a UnicodeDecodeError that says nothing.
inline bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (length == 0 || at + length > text.size()) {
      return false;
    }
    for (size_t i = 1; i < length; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) {
        return false;
      }
    }
    const auto second = length > 1 ? static_cast<unsigned char>(text[at + 1]) : 0x80;
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
        (lead == 0xF4 && second > 0x8F)) {
      return false;
    }
    at += length;
  }
  return true;
}

/// Calls `read`. Error is its right where it blames the input, in words that Python can read; all else is a finding.
template <class Read>
void refuses_or(Read read) {
  try {
    read();
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kInvalidInput, error.what());
    require(is_utf8(error.what()), "a message in UTF-8");
  }
}

}  // namespace asdm::fuzzing
