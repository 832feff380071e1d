// SPDX-License-Identifier: MIT
#include <map>
#include <utility>

#include "backends/memory/memory.h"
#include "base/text.h"

namespace agentfs {
namespace {

class MemoryRecords final : public RecordStore {
 public:
  Result<Sequence> reached() override { return reached_; }

  Status apply(Sequence reached, std::span<const ObjectChange> changes) override {
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
    for (const auto& [place, json] : objects_) TRY(visitor(place.first, place.second, json));
    return ok();
  }

  Status check() override { return ok(); }

  Status clear() override {
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

  std::map<std::pair<std::string, std::string>, std::string> objects_;
  Sequence reached_;
};

}  // namespace

std::unique_ptr<RecordStore> make_memory_records() { return std::make_unique<MemoryRecords>(); }

}  // namespace agentfs
