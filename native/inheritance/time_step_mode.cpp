#include "native/inheritance/time_step_mode.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "native/base/error.h"

namespace asdm {
namespace {

/// Far above any run, and far below where sums of indices overflow.
constexpr int64_t kLargestIndex = 1'000'000;

void check_full_at(const std::vector<int64_t>& full_at) {
  if (full_at.empty()) {
    throw invalid_input("full_at", "the evaluations that are full (mode 'explicit' has no other source)", "none");
  }
  for (size_t i = 0; i < full_at.size(); ++i) {
    if (full_at[i] < 0 || full_at[i] > kLargestIndex) {
      throw invalid_input("full_at", "numbers from 0 to " + std::to_string(kLargestIndex), std::to_string(full_at[i]));
    }
    if (i > 0 && full_at[i] <= full_at[i - 1]) {
      throw invalid_input("full_at", "rising numbers",
                          std::to_string(full_at[i]) + " after " + std::to_string(full_at[i - 1]));
    }
  }
}

void check_not_negative(std::string_view name, std::string_view expected, int64_t value) {
  if (value < 0) {
    throw invalid_input(name, expected, std::to_string(value));
  }
}

bool is_mask(std::string_view text) {
  return text.size() > 1 && text.find_first_not_of("01") == std::string_view::npos;
}

int64_t index_from(std::string_view word) {
  int64_t index = 0;
  const char* end = word.data() + word.size();
  const auto [rest, fault] = std::from_chars(word.data(), end, index);
  if (fault != std::errc{} || rest != end) {
    throw invalid_input("full_at", "evaluations such as '0, 3, 6' or a mask such as '1001001'",
                        "'" + std::string(word) + "'");
  }
  return index;
}

}  // namespace

void check(const TimeStepSettings& settings) {
  if (settings.interval < 1) {
    throw invalid_input("interval", "at least 1", std::to_string(settings.interval));
  }
  check_not_negative("full_evaluations", "0 (from interval) or more", settings.full_evaluations);
  check_not_negative("first_full", "0 (no guard) or more", settings.first_full);
  check_not_negative("last_full", "0 (no guard) or more", settings.last_full);
  if (settings.mode == TimeStepMode::kExplicit) {
    check_full_at(settings.full_at);
  }
}

std::vector<int64_t> full_at_from(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t start = text.find_first_not_of(kBlanks);
  if (start == std::string_view::npos) {
    throw invalid_input("full_at", "evaluations such as '0, 3, 6' or a mask such as '1001001'", "an empty text");
  }
  text = text.substr(start, text.find_last_not_of(kBlanks) + 1 - start);
  std::vector<int64_t> full_at;
  if (is_mask(text)) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '1') {
        full_at.push_back(static_cast<int64_t>(i));
      }
    }
  } else {
    constexpr std::string_view kSeparators = ", \t\r\n";
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
      full_at.push_back(index_from(text.substr(at, end - at)));
      // One comma at most stands between two numbers, with any blanks around it.
      at = std::min(text.find_first_not_of(kBlanks, end), text.size());
      if (at < text.size() && text[at] == ',') {
        at = std::min(text.find_first_not_of(kBlanks, at + 1), text.size() - 1);
      }
    }
  }
  if (full_at.empty() || full_at.front() > 0) {
    full_at.insert(full_at.begin(), 0);
  }
  check_full_at(full_at);
  return full_at;
}

}  // namespace asdm
