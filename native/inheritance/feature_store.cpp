#include "native/inheritance/feature_store.h"

#include <algorithm>
#include <set>
#include <utility>

namespace asdm {

void FeatureStore::begin_evaluation() {
  if (asked_ == begun_at_) {
    return;
  }
  std::erase_if(chunks_, [&](const auto& entry) { return entry.second.asked <= before_at_; });
  before_at_ = std::exchange(begun_at_, asked_);
}

void FeatureStore::ask(const std::vector<std::string>& keys) {
  ++asked_;
  for (const std::string& key : keys) {
    if (const auto found = chunks_.find(key); found != chunks_.end()) {
      found->second.asked = asked_;
    }
  }
}

bool FeatureStore::make_room(const std::vector<std::string>& keys, int64_t bytes) {
  if (!limit_) {
    return true;
  }
  std::map<std::shared_ptr<FeatureGroup>, std::optional<int64_t>> asked;  // by group: when a chunk that stays was, last
  for (const auto& [key, chunk] : chunks_) {
    std::optional<int64_t>& last = asked[chunk.group];
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {  // the others go over to the group to come
      last = std::max(last.value_or(0), chunk.asked);
    }
  }
  std::multimap<int64_t, std::shared_ptr<FeatureGroup>> by_age;
  for (const auto& [group, last] : asked) {
    if (last) {
      by_age.emplace(*last, group);
      bytes += group->bytes;
    }
  }
  for (const auto& [last, group] : by_age) {
    if (bytes <= *limit_ || last > begun_at_) {
      break;
    }
    bytes -= group->bytes;
    std::erase_if(chunks_, [&oldest = group](const auto& entry) { return entry.second.group == oldest; });
  }
  return bytes <= *limit_;
}

bool FeatureStore::contains(const std::vector<std::string>& keys) const {
  return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) { return chunks_.contains(key); });
}

std::shared_ptr<FeatureGroup> FeatureStore::whole(const std::vector<std::string>& keys) const {
  const auto first = keys.empty() ? chunks_.end() : chunks_.find(keys.front());
  if (first == chunks_.end() || first->second.group->keys != keys) {
    return nullptr;
  }
  const std::shared_ptr<FeatureGroup>& group = first->second.group;
  const bool all = std::all_of(keys.begin(), keys.end(), [&](const std::string& key) {
    const auto found = chunks_.find(key);
    return found != chunks_.end() && found->second.group == group;
  });
  return all ? group : nullptr;
}

std::shared_ptr<FeatureGroup> FeatureStore::find(const std::vector<std::string>& keys, int64_t bytes) {
  if (std::shared_ptr<FeatureGroup> known = whole(keys)) {
    return known;
  }
  if (keys.empty() || !contains(keys)) {
    return nullptr;
  }
  std::vector<Chunk> chunks;
  chunks.reserve(keys.size());
  for (const std::string& key : keys) {
    chunks.push_back(chunks_.at(key));
  }
  const bool one_size = std::all_of(chunks.begin(), chunks.end(), [&](const Chunk& chunk) {
    return chunk.group->entered == chunks.front().group->entered;
  });
  if (!one_size) {
    return nullptr;
  }
  auto group = std::make_shared<FeatureGroup>(regroup(chunks, keys));
  const bool is_view = chunks.size() == 1;  // of rows that stay where they are, until it is opened to take others
  group->bytes = is_view ? 0 : bytes;
  if (is_view || make_room(keys, bytes)) {
    put(group);
  }
  return group;
}

template <class Key>
void FeatureStore::join(const std::vector<Chunk>& chunks, std::map<Key, FeatureSeries> FeatureGroup::* values,
                        FeatureGroup& group) {
  for (const auto& [key, series] : chunks.front().group.get()->*values) {
    std::vector<FeatureSeries::Part> parts;
    for (const Chunk& chunk : chunks) {
      const std::map<Key, FeatureSeries>& of_chunk = chunk.group.get()->*values;
      const auto found = of_chunk.find(key);
      if (found == of_chunk.end() || found->second.empty()) {
        break;
      }
      const int64_t rows = found->second.rows() / static_cast<int64_t>(chunk.group->keys.size());
      parts.push_back({&found->second, {chunk.index * rows, rows}});
    }
    if (parts.size() == chunks.size()) {
      (group.*values).emplace(key, FeatureSeries::join(parts));
    }
  }
}

FeatureGroup FeatureStore::regroup(const std::vector<Chunk>& chunks, const std::vector<std::string>& keys) {
  FeatureGroup group;
  group.keys = keys;
  group.entered = chunks.front().group->entered;
  join(chunks, &FeatureGroup::nodes, group);
  join(chunks, &FeatureGroup::control, group);
  // Residuals fit together where each chunk has them in the same places.
  const bool all_have_control = std::all_of(chunks.begin(), chunks.end(), [&](const Chunk& chunk) {
    return chunk.group->control_taken && chunk.group->control.size() == group.control.size();
  });
  if (!all_have_control) {
    group.control.clear();
    return group;
  }
  group.control_taken = chunks.front().group->control_taken;
  for (const Chunk& chunk : chunks) {
    group.control_taken = group.control_taken->earlier(*chunk.group->control_taken);
  }
  return group;
}

std::shared_ptr<FeatureGroup> FeatureStore::open(const std::vector<std::string>& keys, int64_t bytes) {
  std::shared_ptr<FeatureGroup> group = find(keys, bytes);
  if (group && group == whole(keys) && group->bytes >= bytes) {
    return group;
  }
  if (!make_room(keys, bytes)) {
    return nullptr;
  }
  if (!group) {
    group = std::make_shared<FeatureGroup>();
    group->keys = keys;
  }
  group->bytes = bytes;
  put(group);
  return group;
}

void FeatureStore::put(const std::shared_ptr<FeatureGroup>& group) {
  for (size_t i = 0; i < group->keys.size(); ++i) {
    chunks_.insert_or_assign(group->keys[i], Chunk{group, static_cast<int64_t>(i), asked_});
  }
}

void FeatureStore::clear_derived() {
  for (auto& [key, chunk] : chunks_) {
    chunk.group->derived.clear();
  }
}

int64_t FeatureStore::bytes() const {
  std::set<const void*> counted;
  int64_t total = 0;
  for (const auto& [key, chunk] : chunks_) {
    for (const auto& [node, series] : chunk.group->nodes) {
      total += series.bytes(counted);
    }
    for (const auto& [place, series] : chunk.group->control) {
      total += series.bytes(counted);
    }
    for (const auto& [node, tensors] : chunk.group->derived) {
      for (const at::Tensor& tensor : tensors) {
        total += counted.insert(tensor.const_data_ptr()).second ? static_cast<int64_t>(tensor.nbytes()) : 0;
      }
    }
  }
  return total;
}

}  // namespace asdm
