// SPDX-License-Identifier: MIT
// What a program's operation on a data tree is held to: that an agent has seen what it replaces,
// and the conditions that processes have set (kernel/write_guard.h). Inside vfs only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/hold.h"
#include "fs/vfs/data_file.h"
#include "kernel/write_guard.h"

namespace agentfs::vfs {

// One operation, on the stack of its function: first what it is about to do, which may be refused
// (ESTALE), then done(); what replaces a name asks in its turn (ChangeOrder), so that nobody comes
// between. Costs two loads where no agent's command runs and no condition is set. An
// agent's tools are not held up here: fs/vfs/data_changes knows what they write. Nor is what lies
// below a .git: git has locks of its own.
class DataGuard {
 public:
  using Path = std::function<std::string()>;  // asked only where it is needed
  DataGuard(Request& request, DataTree& tree, Region region);
  ~DataGuard();
  DataGuard(const DataGuard&) = delete;
  DataGuard& operator=(const DataGuard&) = delete;

  // Of a name; or of a file, by a name that may be another's by now: then that one is not seen.
  Status open(const Path& path, int flags);
  Status open(const DataNode& file, int flags);
  // Of a name that may be there already: then the open judges.
  Status create(const DataNode& directory, const std::string& name);
  Status write(const DataNode& node);  // before bytes change in place
  struct Resize {
    off_t before = 0;
    off_t after = 0;
    bool by_path = false;        // truncate(2), not ftruncate(2)
    bool is_publishing = false;  // by a descriptor that is
  };
  Status resize(const DataNode& node, const Resize& change);
  Status remove(const Path& path);
  // `entry` of the directory takes the other name.
  Status rename(const DataNode& directory, const std::string& name, const DataNode& target,
                const std::string& new_name, unsigned flags);
  // Before it is told: by the generation that the new name has then its claims are known.
  void follow(const DataTree::Renamed& renamed);
  // It has been done, and told, but for bytes that are written in place: what it published is what
  // its process has seen. Of an open that cuts the file on a condition: what goes on from there.
  Publication done();

 private:
  Status meet(const std::string& path, const Publishing& how);
  Status check(Replacement attempt);
  Status replace(Replacement::Way way, const std::string& path, const Publishing& how = {});
  bool is_asked_at_open(int flags) const;
  Status begin_open(int flags);
  std::string last_path(const DataNode& file) const;  // "" where it has none and none is known

  Request& request_;
  DataTree& tree_;
  WriteGuard* guard_ = nullptr;  // null: nothing to be held to
  bool watches_ = false;
  Sight sight_{};
  std::string seen_{};  // the path that done() tells of
  bool is_published_ = false;
  std::vector<ClaimNumber> claims_{};
  bool is_done_ = false;
  // When what it has claimed is published. Of bytes in place nobody hears when their row is told:
  // their claims count no more from then on.
  enum class Ends : char { now, when_told, at_close };
  Ends ends_ = Ends::now;
};

// What had the path, or was below it, has it no more, by whatever way.
void forget_claims(DataTree& tree, const std::string& path);
// Whether a condition waits for somebody's next write: then the daemon has to see the writes.
bool awaits_condition(DataTree& tree);

// --- user.agentfs.*: what is told of a file beside the disk's own attributes, and listed nowhere
bool is_told_attribute(const std::string& name);
Result<std::string> told_attribute(Request& request, DataNode& node, const std::string& name);
// `user.agentfs.if-gen` sets a condition; the others are refused. Both note a refusal for the
// caller.
Status set_told_attribute(Request& request, DataNode& node, const std::string& name,
                          std::string_view value);
Status remove_told_attribute(Request& request, DataNode& node, const std::string& name);

}  // namespace agentfs::vfs
