// SPDX-License-Identifier: MIT
// Paths of the mount, walked inside the daemon.
#pragma once

#include <string>
#include <vector>

#include "fs/vfs/context.h"

namespace agentfs::vfs {

struct Walked {
  NodeRef node;
  std::string path;       // without symlinks
  std::string data_root;  // "/workspaces" where it lies in a data tree, else ""
  bool in_data() const { return !data_root.empty(); }
  std::string relative() const;  // below the data root
};

// Whether the request's user may do this (R_OK, W_OK, X_OK) with what a node is, as the host's
// kernel decides for its callers. EACCES.
Status check_access(Request& request, Node& node, int mask);
// Absolute, "." and ".." and double slashes taken out. EINVAL for a path that is not absolute.
Result<std::string> clean_path(const std::string& path);
// The node of a path; symlinks are followed, also the last, at most 40 of them (ELOOP). EACCES for
// a directory that the request's user may not enter.
Result<Walked> walk(Request& request, const ContextRef& context, const NodeRef& root,
                    const std::string& path);

}  // namespace agentfs::vfs
