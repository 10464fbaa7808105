#include "native/base/nearest_name.h"

#include <algorithm>
#include <cctype>

namespace asdm {
namespace {

constexpr size_t kLongest = 64;  // letters of a name; whoever wrote more did not mistype one

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return out;
}

// A letter is left out more easily than a wrong one is written: 'out8' is 'out.8' and not 'out'.
constexpr size_t kLeftOut = 2;
constexpr size_t kWrong = 3;

/// Levenshtein's distance from what was written to what is known, by these weights.
size_t distance(std::string_view written, std::string_view known) {
  std::vector<size_t> row(known.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) {
    row[j] = j * kLeftOut;
  }
  for (const char letter : written) {
    size_t diagonal = row[0];
    row[0] += kWrong;
    for (size_t j = 0; j < known.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = std::min({above + kWrong, row[j] + kLeftOut, diagonal + (letter == known[j] ? 0 : kWrong)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > kLongest) {
    return {};
  }
  const std::string wanted = lowered(name);
  size_t least = std::max<size_t>(wanted.size() / 3, 1) * kWrong + 1;
  std::string nearest;
  for (const std::string& candidate : known) {
    if (candidate.size() > kLongest || candidate == nearest) {
      continue;
    }
    const size_t found = distance(wanted, lowered(candidate));
    if (found < least) {
      nearest = candidate;
      least = found;
    } else if (found == least) {
      nearest.clear();  // until a nearer one comes
    }
  }
  return nearest;
}

}  // namespace asdm
