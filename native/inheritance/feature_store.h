// Features of earlier evaluations: per cond chunk and node.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/base/extents.h"
#include "native/base/node_id.h"
#include "native/inheritance/feature_series.h"

namespace asdm {

/// Where a residual of ControlNets goes: the number of its list, and its place counted from the end of that.
using ControlPlace = std::pair<size_t, size_t>;

/// The features of the chunks that one call holds, each for the whole batch.
struct FeatureGroup {
  std::vector<std::string> keys;  ///< one per chunk, in batch order
  std::map<NodeId, FeatureSeries> nodes;
  /// What calls made of the held value of a node alone; goes when that is replaced.
  std::map<NodeId, std::vector<at::Tensor>> derived;
  std::map<NodeId, SpatialSize> entered;  ///< what entered each block; hooks may resize it from call to call
  /// The value of the node "control": when ControlNets were to run last, and what they gave then, held.
  std::optional<EvaluationPoint> control_taken;
  std::map<ControlPlace, FeatureSeries> control;
  int64_t bytes = 0;  ///< what the features of these chunks may take, as the host was told
};

/// Groups by chunk key. A key names everything that must agree for a feature to be reusable. As long as calls keep
/// their chunks together, their tensors are stored and handed out whole; a call that groups or orders chunks in another
/// way gets the rows put together anew.
class FeatureStore {
 public:
  /// Drops what no call asked for in the last two evaluations that made calls: a key may never come again.
  void begin_evaluation();
  /// A call asks for the features of `keys`, whether or not there are any.
  void ask(const std::vector<std::string>& keys);
  /// From now on the groups together may take so many bytes, by what was told of each.
  void set_limit(int64_t bytes) { limit_ = bytes; }
  /// The features of exactly these chunks in this order, which may take `bytes`. Null where one of them has none, or
  /// where the blocks of two of them were entered by inputs of different sizes. Rows that are put together anew are
  /// copies; they are kept where there is room for them, and else are the caller's alone.
  [[nodiscard]] std::shared_ptr<FeatureGroup> find(const std::vector<std::string>& keys, int64_t bytes = 0);
  [[nodiscard]] bool contains(const std::vector<std::string>& keys) const;
  /// From now on the features of `keys`, which may take `bytes`, are those of the group that is given back: what find()
  /// gives, or a fresh one. Null where there is no room for it.
  std::shared_ptr<FeatureGroup> open(const std::vector<std::string>& keys, int64_t bytes = 0);
  void clear() { chunks_.clear(); }
  /// Drops what was made of held values.
  void clear_derived();
  [[nodiscard]] int64_t bytes() const;

 private:
  struct Chunk {
    std::shared_ptr<FeatureGroup> group;
    int64_t index = 0;
    int64_t asked = 0;  ///< when a call asked for it last, by the store's count
  };
  /// The group of exactly `keys` in this order; null where there is none.
  [[nodiscard]] std::shared_ptr<FeatureGroup> whole(const std::vector<std::string>& keys) const;
  /// Whether a group of `keys` that may take `bytes` fits beside the others. What this evaluation has not asked for yet
  /// goes for it, the longest unasked first; a group goes as a whole, as its tensors do.
  [[nodiscard]] bool make_room(const std::vector<std::string>& keys, int64_t bytes);
  void put(const std::shared_ptr<FeatureGroup>& group);
  /// Puts the rows of `chunks` together in `group`, of each value that all of them have.
  template <class Key>
  static void join(const std::vector<Chunk>& chunks, std::map<Key, FeatureSeries> FeatureGroup::* values,
                   FeatureGroup& group);
  [[nodiscard]] static FeatureGroup regroup(const std::vector<Chunk>& chunks, const std::vector<std::string>& keys);

  std::unordered_map<std::string, Chunk> chunks_;
  std::optional<int64_t> limit_;  ///< bytes
  int64_t asked_ = 0;             ///< counts what calls asked for
  int64_t begun_at_ = 0;          ///< that count where this evaluation began
  int64_t before_at_ = 0;         ///< and where the one before did
};

}  // namespace asdm
