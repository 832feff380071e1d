// SPDX-License-Identifier: MIT
#include <map>
#include <utility>

#include "backends/memory/memory.h"
#include "base/mutex.h"
#include "base/text.h"

namespace agentfs {
namespace {

class MemoryRecords final : public RecordStore {
 public:
  Result<Sequence> reached() override {
    const Lock lock(mutex_);
    return reached_;
  }

  Status apply(Sequence reached, std::span<const ObjectChange> changes) override {
    const Lock lock(mutex_);
    if (reached < reached_) {
      return fail(EINVAL, "store: cannot go back to record {}; it has reached {}", reached.value,
                  reached_.value);
    }
    for (const ObjectChange& change : changes) TRY(check_collection(change.collection));
    for (const ObjectChange& change : changes) {
      const auto place = std::pair(change.collection, change.key);
      if (change.json) {
        objects_[place] = *change.json;
      } else {
        objects_.erase(place);
      }
    }
    reached_ = reached;
    return ok();
  }

  Status load(const Visitor& visitor) override {
    const auto objects = [&] {
      const Lock lock(mutex_);
      return objects_;
    }();
    for (const auto& [place, json] : objects) TRY(visitor(place.first, place.second, json));
    return ok();
  }

  Status check() override { return ok(); }

  Status clear() override {
    const Lock lock(mutex_);
    objects_.clear();
    reached_ = {};
    return ok();
  }

 private:
  static Status check_collection(std::string_view name) {
    if (!name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == name.npos) {
      return ok();
    }
    return fail(EINVAL, "store: {} is no collection; a word of a to z is", text::shown(name));
  }

  // The interface asks for one caller at a time; tests look on meanwhile.
  Mutex<Rank::store> mutex_;
  std::map<std::pair<std::string, std::string>, std::string> objects_ GUARDED_BY(mutex_);
  Sequence reached_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<RecordStore> make_memory_records() { return std::make_unique<MemoryRecords>(); }

}  // namespace agentfs
