// SPDX-License-Identifier: MIT
// Old contents as one caller sees them.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "kernel/ended_trees.h"
#include "kernel/history.h"

namespace agentfs {

// Below a path that was another's workspace before, whoever has it now sees of that time what is
// their own; `ended` is zeros for root and the mount's owner, who see all.
struct Horizon {
  EndedTree ended{};
  uid_t uid = 0;
  bool sees(const FileVersion& version) const {
    return version.number > ended.version || version.uid == uid;
  }
};

// The functions are those of History. Valid as long as the history may be looked at.
class SeenHistory {
 public:
  SeenHistory(const History& history, const Horizon& horizon)
      : history_(history), horizon_(horizon) {}
  const History& all() const { return history_; }

  FileVersionRef find(std::uint64_t number) const { return seen(history_.find(number)); }
  FileVersionRef trashed(const std::string& path) const { return seen(history_.trashed(path)); }
  std::vector<FileVersionRef> versions(const std::string& path) const;
  std::vector<FileVersionRef> versions_below(const std::string& directory) const;
  std::vector<FileVersionRef> trashed_at_or_below(const std::string& path) const;
  std::vector<History::Child> children(const std::string& directory) const;
  std::vector<History::Child> trash_children(const std::string& directory) const;
  bool has(const std::string& path) const {
    return sees_all() ? history_.has(path) : !versions(path).empty();
  }
  bool has_below(const std::string& directory) const;
  bool has_trash_below(const std::string& directory) const;

 private:
  bool sees_all() const { return horizon_.ended.version == 0; }
  FileVersionRef seen(const FileVersionRef& version) const {
    return version != nullptr && horizon_.sees(*version) ? version : nullptr;
  }
  std::vector<FileVersionRef> seen(std::vector<FileVersionRef> versions) const;

  const History& history_;
  const Horizon horizon_;
};

}  // namespace agentfs
