// SPDX-License-Identifier: MIT
#include "fs/services/quota_feed.h"

#include "kernel/kinds.h"
#include "kernel/paths.h"

namespace agentfs {

void tell_quotas(vfs::FileSystem& files, const Record& record) {
  if (record.kind == kind::kQuotaSet) return files.quotas_changed();
  // The commit's own names in a workspace's repository.
  if (record.kind == kind::kTurnCommit || record.kind == kind::kCheckpointCommit) {
    return files.recount(fmt::format("/workspaces/{}", json::bytes_of(record.data, "workspace")),
                         false);
  }
  if (!record.kind.starts_with(kind::kTreePrefix)) return;
  const std::string_view what = std::string_view(record.kind).substr(kind::kTreePrefix.size());
  if (what != "fork" && what != "discard" && what != "rename" && what != "remove") return;
  const std::string path = json::bytes_of(record.data, "path");
  if (!paths::is_whole_tree(path)) return;
  const std::string other = json::bytes_of(record.data, "other");
  if (what == "fork") return files.quotas_changed(path, other);
  files.quotas_changed(other, path);
  if (what != "rename" || !paths::is_whole_tree(other)) return;
  files.recount(other, false);
  files.recount(path, false);
}

}  // namespace agentfs
