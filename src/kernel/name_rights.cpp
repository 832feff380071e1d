// SPDX-License-Identifier: MIT
#include "kernel/name_rights.h"

#include "base/text.h"
#include "kernel/kernel.h"
#include "kernel/tree_path.h"

namespace agentfs {

NameRights::NameRights(const Kernel& kernel, const Caller& caller, TreeStore& store,
                       TreeNodeRef root)
    : store_(store),
      root_(std::move(root)),
      has_all_(kernel.is_ruler(kernel.user_of(caller))),
      uid_(kernel.user_of(caller)) {
  ExecUser user = kernel.exec_user(caller);
  caller_.uid = user.uid;
  caller_.gid = user.gid;
  caller_.groups = std::move(user.groups);
}

Result<bool> NameRights::has(const std::string& directory, int mask) {
  const auto known = known_.find({directory, mask});
  if (known != known_.end()) return known->second;
  return known_[{directory, mask}] = TRY(find(directory, mask));
}

Result<bool> NameRights::find(const std::string& directory, int mask) const {
  const auto entry = find_in_tree(store_, root_, directory);
  if (!entry && is_absent(entry.error())) return true;
  if (!entry) return std::unexpected(entry.error());
  if (entry->attributes.st_uid == uid_) return true;
  const Status may = store_.access(*entry->node, mask, caller_);
  if (!may && may.error().code != EACCES) return std::unexpected(may.error());
  return may.has_value();
}

// Each directory on the way to the name is to be searched, and the last one written.
Status NameRights::check(const std::string& path, int mask) {
  if (has_all_) return ok();
  const std::string last(text::parent_part(path));
  std::string directory;
  for (std::size_t end = 0;; end = last.find('/', end + 1)) {
    directory = last.substr(0, end);
    if (!TRY(has(directory, directory == last ? mask : X_OK))) break;
    if (directory == last) return ok();
  }
  return fail(EACCES,
              "{}: uid {} may not {} {}; root, the mount's owner or who has the right there may "
              "do it",
              text::shown(path), uid_,
              directory == last && mask != X_OK ? "change the names in" : "search",
              directory.empty() ? "the top" : text::shown(directory));
}

}  // namespace agentfs
