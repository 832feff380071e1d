// SPDX-License-Identifier: MIT
// The data trees over a plain directory of the disk.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "backends/tree_store.h"

namespace agentfs {

struct TreeOptions {
  // How many O_PATH descriptors of known nodes are kept open where nodes have file handles.
  std::size_t descriptors = 1024;
  // False: hold a descriptor for each node, as without the privilege to open by handle.
  bool file_handles = true;
};

// A store over `directory`, which must exist. Raises this process's limit of open files as far
// as it may: root's to the kernel's. What the store promises beyond its interface:
//
// Nodes. With the privilege to open by file handle (root in the first user namespace) a node costs
// no descriptor; without it, or on a disk without handles, each node holds one and the hard limit
// of open files bounds how many can be held (EMFILE, with a sentence). A node outlives its name:
// removed through this store while somebody holds the node, it can still be read and changed.
//
// Rights. A root daemon does each operation that names a caller with the caller's user, group,
// supplementary groups and umask, so owner, group, mode and errors are the disk's own, set-group-ID
// directories and default ACLs included. A daemon of an ordinary user acts as itself.
//
// Opening. O_APPEND and O_DIRECT are not passed to the descriptor: the kernel has already worked
// out where an append goes, and it writes mapped pages back through any writable handle, which on
// an O_APPEND descriptor would land at the end of the file. Who appends by itself uses pwritev2()
// with RWF_APPEND. Only regular files and directories are opened; the mount's kernel serves fifos,
// sockets and devices.
//
// Names are EINVAL when empty, "." or "..", or with a '/' or a NUL in them; lookup() knows "." and
// "..", and ".." of the root is the root. Nodes of two stores in one rename or link are EXDEV.
Result<std::unique_ptr<TreeStore>> open_tree_store(const std::string& directory);
Result<std::unique_ptr<TreeStore>> open_tree_store(const std::string& directory,
                                                   const TreeOptions& options);

}  // namespace agentfs
