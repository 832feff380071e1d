// SPDX-License-Identifier: MIT
// The tree as a whole: the root, the channels that serve it, and the mount's paths for agents.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "fs/vfs/channel.h"
#include "fs/vfs/node.h"
#include "fs/vfs/services.h"
#include "fs/vfs/table.h"
#include "kernel/namespace.h"

namespace agentfs::vfs {

// How the tree is put together.
struct FileSystemParts {
  Services* services = nullptr;
  const DirectoryType* root = nullptr;      // the table of "/"
  std::map<std::string, TreeStore*> trees;  // "/home" -> its store: rows of kind data
  PastStore* past = nullptr;  // what is kept of files of trees with a history; null: nothing
  uid_t owner = 0;            // of the synthetic files
  gid_t group = 0;
  bool shared = false;      // other users may use the mount
  std::string times{};      // what FileSystem::times() gave at the end of the daemon before
  std::string under_way{};  // a file of the state, for changes that a kill cuts off from their rows
  std::string open_files{};  // a file of the state, for what is written past the daemon; or none
};

// Threads: all.
class FileSystem final : public Namespace {
 public:
  explicit FileSystem(FileSystemParts parts);
  ~FileSystem() override;

  NodeRef root() const;
  // For one more session of the host's kernel, which is told of changes from then on.
  std::shared_ptr<Channel> open_channel();
  // The trees have gone to another session, or come back: their names are to be asked for again.
  void trees_moved();
  // The limits have changed; a subject has perhaps come to hold what another does.
  void quotas_changed(const std::string& subject = {}, const std::string& like = {});
  // Something that cached rows or poll(2) watch has changed: "/proc/5/state" and the like.
  void changed(const std::string& path);
  // A process of the host has changed something: what it has looked up it looks up anew.
  void changed_by(pid_t group);
  // Takes a lock of each data tree that every request in it takes for a moment: who calls this
  // waits with all others where one is never given back.
  void wait_for_turn();
  // When the generated files changed last, for the next daemon: they keep their mtime.
  std::string times() const;

  // --- Namespace
  Result<struct stat> attributes(const Caller&, const std::string& path) override;
  Result<std::string> read(const Caller&, const std::string& path, std::uint64_t offset,
                           std::uint64_t limit) override;
  Result<std::string> peek(const Caller&, const std::string& path) override;
  Status write(const Caller&, const std::string& path, std::string_view text) override;
  Status edit(const Caller&, const std::string& path,
              const std::function<Result<std::string>()>& text) override;
  Status rewrite(const Caller&, const std::string& path,
                 const std::function<Result<std::string>()>& text) override;
  Result<std::vector<NamespaceEntry>> list(const Caller&, const std::string& path) override;
  Status remove(const Caller&, const std::string& path) override;
  Status access(const Caller&, const std::string& path, int mask) override;
  using Namespace::restore;
  Status restore(const Caller&, const std::vector<RestoreStep>& steps,
                 RestoreCourse& course) override;
  Result<Hold> begin_snapshot(const std::string& path) override;
  std::vector<std::string> open_for_writing(const std::string& root) override;
  Status keep_bytes(const std::string& root, const TreeNode& file, const Keep& keep) override;
  Status exchange(const std::string& root, const TreeNode& file, nlink_t lost,
                  const std::function<Status()>& step) override;
  void links_changed(const std::string& root, const std::vector<TreeNodeRef>& files) override;
  Status replace_tree(const std::string& path, const Exchange& exchange) override;
  Status between_changes(const std::string& root, const std::function<Status()>& act) override;
  Result<Holding> holding(const std::string& subject) override;
  void await_count(const std::string& subject) override;
  Result<Hold> hold_room(const std::string& path, const Growth& more) override;
  void recount(const std::string& path, bool anew) override;
  void refresh(const std::vector<TreeEvent>& changes) override;
  std::optional<std::string> history_apart(const std::string& root) override;
  void command(const Caller&, const std::string& path, std::string line,
               Completion<std::string> reply) override;

  // The whole tree of rows as `agentfs --dump-tree json` prints it (without syscalls).
  static json::Value dump(const DirectoryType& root);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace agentfs::vfs
