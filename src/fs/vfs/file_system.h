// SPDX-License-Identifier: MIT
// The tree as a whole: the root, the node and handle tables that the channel's numbers name, and
// the mount's paths for agents.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
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
  bool shared = false;  // other users may use the mount
  std::string times{};  // what FileSystem::times() gave at the end of the daemon before
};

// Threads: all. Node ids are handed out by lookup() and live until forget() has taken back as many
// lookups as were given; 1 is the root. Each call that returns a Found for the channel has counted
// one lookup.
class FileSystem final : public Namespace {
 public:
  static constexpr std::uint64_t kRoot = 1;

  explicit FileSystem(FileSystemParts parts);
  ~FileSystem() override;

  // --- the channel's side
  Result<NodeRef> node(std::uint64_t id);  // ESTALE for an id that is not in use
  // Counts one lookup of the node; the same node gets the same id as long as it is known.
  std::uint64_t remember(const NodeRef& node);
  void forget(std::uint64_t id, std::uint64_t lookups);
  std::uint64_t keep(std::shared_ptr<Handle> handle);    // a handle's number for fi->fh
  std::shared_ptr<Handle> handle(std::uint64_t number);  // null when there is none
  std::shared_ptr<Handle> drop(std::uint64_t number);
  void set_invalidator(Invalidator* invalidator);  // null before and after a session
  // Something that cached rows or poll(2) watch has changed: "/proc/5/state" and the like.
  void changed(const std::string& path);
  // When the generated files changed last, for the next daemon: they keep their mtime.
  std::string times() const;

  // --- Namespace
  Result<struct stat> attributes(const Caller&, const std::string& path) override;
  Result<std::string> read(const Caller&, const std::string& path, std::uint64_t offset,
                           std::uint64_t limit) override;
  Status write(const Caller&, const std::string& path, std::string_view text) override;
  Result<std::vector<NamespaceEntry>> list(const Caller&, const std::string& path) override;
  Status remove(const Caller&, const std::string& path) override;
  Status access(const Caller&, const std::string& path, int mask) override;
  Status restore(const Caller&, const std::vector<RestoreStep>& steps) override;
  void command(const Caller&, const std::string& path, std::string line,
               Completion<std::string> reply) override;

  // The whole tree of rows as `agentfs --dump-tree json` prints it (without syscalls).
  static json::Value dump(const DirectoryType& root);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace agentfs::vfs
