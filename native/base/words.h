// Lists and numbers as users write them.
#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace asdm {

/// The words in `text`, which any number of `separators` part: by default commas and white space.
inline std::vector<std::string> words_of(std::string_view text, std::string_view separators = ", \t\r\n") {
  std::vector<std::string> words;
  for (size_t at = text.find_first_not_of(separators); at != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(separators, at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(separators, end);
  }
  return words;
}

/// "0.8", "7": the shortest text of six digits that says it.
inline std::string number_text(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace asdm
