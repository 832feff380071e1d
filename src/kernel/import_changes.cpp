// SPDX-License-Identifier: MIT
#include "kernel/import_changes.h"

#include <fcntl.h>

#include <map>

#include "backends/tree_xattrs.h"
#include "base/text.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

Result<UniqueFd> open_file(const TreeSide& tree, const std::string& path) {
  const TreeEntry entry = TRY(find_in_tree(*tree.store, tree.root, path));
  const auto file = TRY(tree.store->open(*entry.node, O_RDONLY, TreeCaller{}));
  UniqueFd fd(::fcntl(file->descriptor(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return fail_errno(text::shown(path));
  return fd;
}

constexpr mode_t kSetId = S_ISUID | S_ISGID;

bool can_be_made(const FileState& state) {
  return !state.exists() || state.is_directory() || state.is_regular() || S_ISLNK(state.mode) ||
         S_ISFIFO(state.mode);
}

}  // namespace

Result<std::vector<HostChange>> host_changes(const TreeSide& from, const TreeSide& to,
                                             const std::vector<PathChange>& changes,
                                             bool with_set_id) {
  std::map<std::string, HostChange> all;
  for (const PathChange& change : changes) {
    const FileState& after = change.after;
    // A file in the place of a directory is told as two changes of one path.
    if (!can_be_made(after) || (!after.exists() && all.contains(change.path))) continue;
    HostChange one{.path = change.path, .to = after};
    if (after.exists()) {
      const TreeEntry entry = TRY(find_in_tree(*to.store, to.root, change.path));
      one.uid = entry.attributes.st_uid;
      one.gid = entry.attributes.st_gid;
      if (after.is_regular() || after.is_directory()) {
        one.xattrs = xattrs_of(*to.store, *entry.node, is_brought);
        if (change.before.type() == after.type()) {
          const TreeEntry was = TRY(find_in_tree(*from.store, from.root, change.path));
          one.had_xattrs = xattrs_of(*from.store, *was.node, is_brought);
        }
      }
      if (S_ISLNK(after.mode)) one.target = TRY(to.store->read_link(*entry.node));
    }
    if (after.is_regular() && !with_set_id) {
      const mode_t had = change.before.is_regular() ? change.before.mode : 0;
      one.to.mode &= ~kSetId | had;
      one.lost_set_id = one.to.mode != after.mode;
    }
    if (after.is_regular() && (change.content || change.kind != PathChange::Kind::modified)) {
      one.content = [to, path = change.path] { return open_file(to, path); };
    }
    all[change.path] = std::move(one);
  }
  std::vector<HostChange> ordered;
  for (auto& [path, one] : all) ordered.push_back(std::move(one));
  return ordered;
}

}  // namespace agentfs
