// SPDX-License-Identifier: MIT
// What the index of a repository at the root of a tree says of its files.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "backends/tree_store.h"
#include "base/error.h"

namespace agentfs {

// One entry of an index of version 2, 3 or 4 (gitformat-index(5)) with SHA-1 ids. Numbers are cut
// to 32 bits, as they stand there.
struct IndexEntry {
  std::string_view path{};  // valid until the next one is read
  std::string_view id{};    // of the blob or commit, 20 bytes
  mode_t mode = 0;
  timespec changed{};   // ctime
  timespec modified{};  // mtime
  std::uint32_t inode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t size = 0;
  bool is_staged = false;    // one side of a conflict
  bool is_intended = false;  // `git add -N`: of a file without contents yet
  bool is_away = false;      // git has been told not to have it in the worktree
};

// Each entry in its order. EBADMSG where the bytes are no index; ENOTSUP for a split one, which
// leaves names to another file.
Status read_index(std::string_view bytes, const std::function<void(const IndexEntry&)>& each);

struct IndexFile {
  std::string bytes{};
  timespec modified{};
};
// That of the repository at the root of a tree; nothing where there is none, or it has no index
// yet. ENOTSUP for one that lies elsewhere.
Result<std::optional<IndexFile>> index_of(TreeStore& store, const TreeNode& root);

}  // namespace agentfs
