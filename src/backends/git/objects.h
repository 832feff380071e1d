// SPDX-License-Identifier: MIT
// Writes a turn's objects into a repository and makes them durable.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backends/git/library.h"
#include "backends/git/owner.h"
#include "backends/git/user_index.h"
#include "backends/git/worktree.h"

namespace agentfs::git {

// Threads: one. Remembers what it wrote, so that it can be synced at once.
class ObjectWriter {
 public:
  // Both are borrowed.
  ObjectWriter(git_repository* repository, UserIndex& index)
      : repository_(repository), index_(index) {}

  // An open file's bytes as `git add` would store them, unless `as_it_lies`; `path` is its path
  // below the worktree, `before` the blob of the last commit or null: the index's, where that
  // cannot be read.
  Result<git_oid> file(int fd, const std::string& path, bool as_it_lies, const git_oid* before);
  // Whether a file that holds what a blob of the index does would be stored as another.
  Result<bool> changes(const git_oid& blob, const std::string& path);
  // Whether the repository has an object, or could have it from the one it is a partial clone of.
  Result<bool> may_have(const git_oid& id);
  Result<git_oid> bytes(std::string_view bytes);
  Result<git_oid> tree(git_treebuilder* builder);
  void note(const git_oid& id) { written_.push_back(id); }

  // Who may not read what it is made of is not to read it here (Owner::readers_of).
  void keep_from(const git_oid& id, mode_t readers) {
    if (readers != Owner::kAllReaders) closed_.emplace_back(id, readers);
  }

  // All of it is the repository's owner's, and survives the loss of power.
  Status sync(const Owner& owner) const;

 private:
  // Gives `use` the bytes as they would be stored; `indexed` says the blob of the index, or null,
  // where that has to be known.
  template <class Indexed, class Use>
  auto filtered(std::string_view bytes, const std::string& path, const Indexed& indexed,
                const Use& use) -> decltype(use(bytes));
  const git_oid* indexed_blob(const std::string& path, const git_oid* before);
  Result<bool> has_text_with_crlf(const git_oid* blob, const std::string& path) const;
  Result<git_oid> stream(int file, const std::string& path);

  git_repository* repository_;
  UserIndex& index_;
  std::optional<bool> is_partial_;  // a clone; read when it is asked
  std::vector<git_oid> written_;
  std::vector<std::pair<git_oid, mode_t>> closed_;
};

// The same of the ref, as it is now.
Status sync_ref(git_repository* repository, const std::string& ref, const Owner& owner);

std::string to_hex(const git_oid& id);
// Whether git's program has changed the file on its way, perhaps: what libgit2 does not, or not so.
Result<bool> is_made_by_others(git_repository* repository, const std::string& path);
Result<bool> has_blob(git_repository* repository, const git_oid& id, std::uint64_t size);

}  // namespace agentfs::git
