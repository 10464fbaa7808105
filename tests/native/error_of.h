// The message of the asdm::Error that a call must throw.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "native/base/error.h"

namespace asdm::testing {

/// Runs `call`; fails the test and gives "" where it throws no asdm::Error.
template <typename Call>
std::string error_of(Call call) {
  try {
    (void)call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no asdm::Error was thrown";
  return "";
}

/// Fails where `text` does not hold `part`, and shows both.
inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "text: " << text << "\nlacks: " << part;
}

}  // namespace asdm::testing
