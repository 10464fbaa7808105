// Who watches a forward from inside, part by part. Costs nothing where nobody does.
#pragma once

#include <string_view>
#include <utility>

namespace asdm {

/// Is told of every part of a forward that begins and ends. Parts nest, so the names from the outermost to the
/// innermost, joined by dots, are an address: "in.4", "attn", "0", "attn1".
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  virtual void begin(std::string_view name) = 0;
  virtual void end() = 0;
};

/// Runs `work` as the part `name`. A part that throws does not end: what was watched until then is of no use.
template <class Work>
auto observed(LayerObserver* observer, std::string_view name, Work&& work) {
  if (observer == nullptr) {
    return std::forward<Work>(work)();
  }
  observer->begin(name);
  auto result = std::forward<Work>(work)();
  observer->end();
  return result;
}

}  // namespace asdm
