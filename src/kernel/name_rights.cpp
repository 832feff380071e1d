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

bool NameRights::has(const std::string& directory, int mask) {
  const auto [at, is_new] = known_.try_emplace({directory, mask}, true);
  if (!is_new) return at->second;
  const auto entry = find_in_tree(store_, root_, directory);
  at->second = !entry || store_.access(*entry->node, mask, caller_).has_value();
  return at->second;
}

// Each directory on the way to the name is to be searched, and the last one written.
Status NameRights::check(const std::string& path, int mask) {
  if (has_all_) return ok();
  const std::string last(text::parent_part(path));
  std::string directory;
  for (std::size_t end = 0;; end = last.find('/', end + 1)) {
    directory = last.substr(0, end);
    if (!has(directory, directory == last ? mask : X_OK)) break;
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
