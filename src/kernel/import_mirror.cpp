// SPDX-License-Identifier: MIT
#include "kernel/import_mirror.h"

#include <fcntl.h>
#include <unistd.h>

#include <ranges>

#include "base/text.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// A directory that stays a directory keeps what is in it.
bool stays(const HostDrift& drift) {
  return drift.recorded.is_directory() && drift.now.is_directory();
}

}  // namespace

Result<TreeNodeRef> ImportMirror::directory(const std::string& path) {
  if (path.empty()) return root_;
  if (known_ && path == known_path_) return known_;
  known_ = TRY(find_in_tree(forest_, root_, path)).node;
  known_path_ = path;
  return known_;
}

Status ImportMirror::remove(const HostDrift& drift) {
  const TreeNodeRef above = TRY(directory(std::string(text::parent_part(drift.path))));
  const std::string name(text::last_part(drift.path));
  Status done = drift.recorded.is_directory() ? forest_.remove_directory(*above, name, TreeCaller{})
                                              : forest_.unlink(*above, name, TreeCaller{});
  if (drift.recorded.is_directory()) known_ = nullptr;
  return done || done.error().code == ENOENT ? ok() : done;
}

// Directories and links as they are now; of files, what is lent has all.
Status ImportMirror::set(const TreeNode& node, const std::string& path) {
  const auto there = store_.attributes(id_, path);
  if (!there) return there.error().code == ENOENT ? ok() : std::unexpected(there.error());
  SetAttributes wanted{.which = SetAttributes::mtime, .values = *there};
  if (::geteuid() == 0) wanted.which |= SetAttributes::uid | SetAttributes::gid;
  if (node.type() != S_IFLNK) wanted.which |= SetAttributes::mode;
  const auto done = forest_.set_attributes(node, nullptr, wanted, TreeCaller{});
  return done ? ok() : std::unexpected(done.error());
}

Status ImportMirror::add(const HostDrift& drift) {
  const TreeNodeRef above = TRY(directory(std::string(text::parent_part(drift.path))));
  const std::string name(text::last_part(drift.path));
  const TreeCaller daemon;
  if (drift.now.is_directory()) {
    if (!stays(drift)) (void)TRY(forest_.make_directory(*above, name, S_IFDIR | 0700, daemon));
    return ok();  // attributes come last
  }
  if (S_ISLNK(drift.now.mode)) {
    const std::string target = TRY(store_.read_link(id_, drift.path));
    const TreeEntry made = TRY(forest_.make_link(*above, name, target, daemon));
    return set(*made.node, drift.path);
  }
  if (!drift.now.is_regular()) {
    const TreeEntry made = TRY(forest_.make_node(*above, name, drift.now.mode, 0, daemon));
    return set(*made.node, drift.path);
  }
  const auto made =
      TRY(forest_.create(*above, name, O_RDWR | O_CREAT | O_EXCL, S_IFREG | 0600, daemon));
  const Writing writing = TRY(forest_.begin_write(*made.file));
  return store_.lend(id_, drift.path, made.file->descriptor());
}

// What vanishes between the look and this is found to be so by the next look.
Status ImportMirror::apply(const std::vector<HostDrift>& drifts) {
  for (const HostDrift& drift : drifts | std::views::reverse) {
    if (drift.recorded.exists() && !stays(drift)) TRY(remove(drift));
  }
  for (const HostDrift& drift : drifts) {
    if (!drift.now.exists()) continue;
    const Status added = add(drift);
    if (!added && added.error().code != ENOENT) return added;
  }
  for (const HostDrift& drift : drifts | std::views::reverse) {
    if (drift.now.is_directory()) TRY(set(*TRY(directory(drift.path)), drift.path));
  }
  return ok();
}

}  // namespace agentfs
