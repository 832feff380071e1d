// SPDX-License-Identifier: MIT
#include "kernel/away_paths.h"

#include <sys/stat.h>

#include "kernel/places.h"

namespace agentfs {

Result<AwayNow> away_in(TreeStore& store, const TreeNodeRef& root,
                        const std::vector<TrackedPaths::Away>& indexed) {
  AwayNow away;
  Places places(store, root);
  for (const TrackedPaths::Away& one : indexed) {
    const std::string& path = one.path.path;
    const struct stat found = TRY(places.look(path));
    if (places.is_below_file()) continue;  // which is tracked in its place
    const bool is_directory = S_ISDIR(found.st_mode);
    const bool may_be = is_directory || (found.st_nlink == 0 && !one.is_submodule);
    // git leaves what is beside a submodule alone, until there is a repository.
    const bool has_names = one.is_submodule ? TRY(places.look(path + "/.git")).st_nlink != 0
                                            : is_directory && places.has_names(path);
    if (!may_be || (has_names && !S_ISDIR(one.path.mode))) continue;
    away.paths.push_back(one.path);
    if (has_names) away.beside.push_back(path);
  }
  return away;
}

}  // namespace agentfs
