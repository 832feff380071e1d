// SPDX-License-Identifier: MIT
// Files and directories of a data tree as nodes: every POSIX operation, each change with a journal
// row and its author.
#pragma once

#include <functional>

#include "backends/past_store.h"
#include "fs/vfs/bypassed_files.h"
#include "fs/vfs/node.h"
#include "fs/vfs/services.h"

namespace agentfs::vfs {

class QuotaTable;

class UnderWay;

struct DataParts {
  std::string path{};         // of the mount: "/workspaces"
  std::uint64_t numbers = 0;  // bits in which its inode numbers differ from those of other trees
  PastStore* past = nullptr;  // keeps what the tree loses; null: nothing is kept
  std::shared_ptr<BypassedFiles> bypassed{};
  std::shared_ptr<UnderWay> under_way{};
  std::shared_ptr<QuotaTable> quotas{};  // those of all trees; none: no limits
};
// The root of a data tree. Nodes of one store that stand for one file are one object.
NodeRef make_data_root(Services& services, TreeStore& store, DataParts parts);
// From now on its directories have a `.agentfs` of this table. Before the first request.
struct HistoryTable;
void set_history(Node& data_root, const HistoryTable& table);

// Walks below a data root without the host's kernel, for agents: the node of a relative path
// ("site/src/main.c"), symlinks inside the tree followed, ENOENT, ELOOP, ENOTDIR as the disk says.
Result<NodeRef> walk_data(Request& request, const NodeRef& root, const std::string& relative);

}  // namespace agentfs::vfs
