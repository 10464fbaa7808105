#include "native/assembly/implants.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "native/base/error.h"
#include "native/format/unet_layout.h"

namespace asdm {
namespace {

/// A part before it is known whether it can stand alone.
struct Part {
  std::vector<int64_t> levels;
  std::vector<std::string> removed;
};

std::string name_of(const std::vector<int64_t>& levels) {
  std::vector<std::string> names;
  for (const int64_t level : levels) {
    names.push_back(std::string("S").append(std::to_string(level)));
  }
  return join(names, "+");
}

/// The full UNet of `student` less `removed`; none where that is no legal UNet.
std::optional<UNetSpec> hybrid_of(const UNetSpec& student, const std::vector<std::string>& removed) {
  UNetSpec full = student;
  full.removed.clear();
  full.me_cond_conv.clear();
  try {
    return without(full, removed);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The levels that something is removed from, with what.
std::map<int64_t, std::vector<std::string>> removed_by_level(const UNetSpec& student) {
  std::map<int64_t, std::vector<std::string>> parts;
  const UNetLayout full = full_layout(student);
  for (const std::string& address : student.removed) {
    const auto holder = std::find_if(full.begin(), full.end(), [&](const BlockLayout& block) {
      return address == block.address || address.starts_with(block.address + ".");
    });
    if (holder == full.end()) {
      throw internal_fault("implants_of", "no block holds " + address);
    }
    parts[holder->level].push_back(address);
  }
  return parts;
}

Part joined(Part first, const Part& second) {
  first.levels.insert(first.levels.end(), second.levels.begin(), second.levels.end());
  first.removed.insert(first.removed.end(), second.removed.begin(), second.removed.end());
  return first;
}

/// Parts that stand alone: a level that cannot is taken together with the next deeper one, the last with those before.
std::vector<Part> parts_of(const UNetSpec& student) {
  std::vector<Part> parts;
  Part pending;
  for (const auto& [level, removed] : removed_by_level(student)) {
    pending = joined(std::move(pending), {{level}, removed});
    if (hybrid_of(student, pending.removed)) {
      parts.push_back(std::exchange(pending, {}));
    }
  }
  if (!pending.removed.empty()) {
    while (!parts.empty() && !hybrid_of(student, pending.removed)) {
      pending = joined(std::move(parts.back()), pending);
      parts.pop_back();
    }
    parts.push_back(std::move(pending));
  }
  return parts;
}

}  // namespace

std::vector<Implant> implants_of(const UNetSpec& student) {
  std::vector<Implant> implants;
  const UNetLayout layout = make_layout(student);
  for (const Part& part : parts_of(student)) {
    Implant implant{name_of(part.levels), hybrid_of(student, part.removed).value(), {}};
    for (const BlockLayout& block : layout) {
      if (std::find(part.levels.begin(), part.levels.end(), block.level) != part.levels.end()) {
        implant.blocks.insert(block.address);
      }
    }
    for (const MECondConvSite& site : student.me_cond_conv) {
      if (std::any_of(implant.blocks.begin(), implant.blocks.end(),
                      [&](const std::string& block) { return site.site.starts_with(block + "."); })) {
        implant.hybrid.me_cond_conv.push_back(site);
      }
    }
    implants.push_back(std::move(implant));
  }
  return implants;
}

}  // namespace asdm
