// SPDX-License-Identifier: MIT
#include "kernel/import_mirror.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ranges>

#include "backends/tree_xattrs.h"
#include "base/copy.h"
#include "base/nanoseconds.h"
#include "base/text.h"
#include "kernel/tree_path.h"

namespace agentfs {
// A directory that stays a directory keeps what is in it, a file whose mode alone was set its
// bytes.
bool ImportMirror::stays(const HostDrift& drift) const {
  if (drift.recorded.is_directory() && drift.now.is_directory()) return true;
  const HostChange* const written = held(drift.path);
  return written != nullptr && drift.recorded.is_regular() && drift.now.is_regular() &&
         !written->content;
}

const HostChange* ImportMirror::held(const std::string& path) const {
  const auto found = std::ranges::lower_bound(held_, path, {}, &HostChange::path);
  return found != held_.end() && found->path == path ? &*found : nullptr;
}

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
  known_ = nullptr;  // perhaps what went: a file that was looked at may become a directory
  return done || done.error().code == ENOENT ? ok() : done;
}

// ACLs are rights, as the mode is; what was made here may have others, from its directory. The
// others as far as the disk below takes them.
Status ImportMirror::set_xattrs(const TreeNode& node, const Xattrs& wanted) {
  return replace_xattrs(forest_, node, xattrs_of(forest_, node, is_brought), wanted,
                        [](std::string_view name, int code) {
                          return !is_acl(name) || code == ENOTSUP || code == ENODATA;
                        });
}

Status ImportMirror::dress(const TreeNode& node, SetAttributes wanted, const Xattrs& xattrs) {
  const bool is_link = node.type() == S_IFLNK;
  if (!is_link) wanted.which |= SetAttributes::mode;
  // The attributes of users are set by who may write, which is not its owner then.
  const bool closes = !is_link && ::geteuid() != 0 && (wanted.values.st_mode & S_IWUSR) == 0;
  if (closes) {
    TRY(set_mode(node, wanted.values.st_mode | S_IWUSR));
    TRY(set_xattrs(node, xattrs));
  }
  const auto done = forest_.set_attributes(node, nullptr, wanted, TreeCaller{});
  if (!done) return std::unexpected(done.error());
  return is_link || closes ? ok() : set_xattrs(node, xattrs);
}

// Directories and links as they are now; of files, what is lent has all.
Status ImportMirror::set(const TreeNode& node, const std::string& path) {
  if (const HostChange* const written = held(path)) return set_held(node, *written);
  const auto there = store_.attributes(id_, path);
  if (!there) return there.error().code == ENOENT ? ok() : std::unexpected(there.error());
  SetAttributes wanted{.which = SetAttributes::mtime, .values = *there};
  if (::geteuid() == 0) wanted.which |= SetAttributes::uid | SetAttributes::gid;
  return dress(node, wanted, node.type() == S_IFLNK ? Xattrs() : TRY(store_.xattrs(id_, path)));
}

Status ImportMirror::set_held(const TreeNode& node, const HostChange& written) {
  SetAttributes wanted{.which = SetAttributes::mtime};
  wanted.values.st_mtim = time_of(written.to.modified);
  wanted.values.st_mode = written.to.mode;
  return dress(node, wanted, written.xattrs);
}

// Lent by the directory, or a copy of what was written to it.
Status ImportMirror::add_file(const HostDrift& drift) {
  const TreeNodeRef above = TRY(directory(std::string(text::parent_part(drift.path))));
  const std::string name(text::last_part(drift.path));
  const auto made =
      TRY(forest_.create(*above, name, O_RDWR | O_CREAT | O_EXCL, S_IFREG | 0600, TreeCaller{}));
  const HostChange* const written = held(drift.path);
  // Opened before the store is held for writing: what is opened is a file of this forest.
  const UniqueFd content = written != nullptr ? TRY(written->content()) : UniqueFd();
  struct stat attributes{};
  if (content && ::fstat(content.get(), &attributes) != 0) return fail_errno(text::shown(name));
  bool is_gone = false;
  {
    const Writing writing = TRY(forest_.begin_write(*made.file));
    const int file = made.file->descriptor();
    if (content) {
      (void)TRY(copy_bytes(content.get(), file, attributes));
    } else {
      const Status lent = store_.lend(id_, drift.path, file);
      if (!lent) is_gone = lent.error().code == ENOENT;
      if (!lent && !is_gone) return lent;
    }
  }
  if (is_gone) return forest_.unlink(*above, name, TreeCaller{});
  return written != nullptr ? set_held(*made.entry.node, *written) : ok();
}

Status ImportMirror::add(const HostDrift& drift) {
  const TreeNodeRef above = TRY(directory(std::string(text::parent_part(drift.path))));
  const std::string name(text::last_part(drift.path));
  const TreeCaller daemon;
  const HostChange* const written = held(drift.path);
  if (drift.now.is_directory()) {
    if (!stays(drift)) (void)TRY(forest_.make_directory(*above, name, S_IFDIR | 0700, daemon));
    return ok();  // attributes come last
  }
  if (stays(drift)) return set_held(*TRY(forest_.lookup(*above, name)).node, *written);
  if (S_ISLNK(drift.now.mode)) {
    const std::string target =
        written != nullptr ? written->target : TRY(store_.read_link(id_, drift.path));
    const TreeEntry made = TRY(forest_.make_link(*above, name, target, daemon));
    return set(*made.node, drift.path);
  }
  if (!drift.now.is_regular()) {
    const TreeEntry made = TRY(forest_.make_node(*above, name, drift.now.mode, 0, daemon));
    return set(*made.node, drift.path);
  }
  return add_file(drift);
}

// Directories that are closed to their owner there are so here, and an ordinary user's daemon has
// no other rights.
Status ImportMirror::open_above(const std::string& path) {
  const bool is_open = !opened_.empty() && opened_.back().first == path;
  if (::geteuid() == 0 || is_open) return ok();
  const auto node = directory(path);
  if (!node || (*node)->type() != S_IFDIR) return ok();  // is to be one yet
  const struct stat attributes = TRY(forest_.attributes(**node));
  if ((attributes.st_mode & S_IRWXU) == S_IRWXU) return ok();
  opened_.emplace_back(path, attributes.st_mode);
  return set_mode(**node, attributes.st_mode | S_IRWXU);
}

Status ImportMirror::set_mode(const TreeNode& node, mode_t mode) {
  SetAttributes wanted{.which = SetAttributes::mode};
  wanted.values.st_mode = mode;
  const auto done = forest_.set_attributes(node, nullptr, wanted, TreeCaller{});
  return done ? ok() : Status(std::unexpected(done.error()));
}

Status ImportMirror::close_again() {
  Status closed = ok();
  for (const auto& [path, mode] : opened_ | std::views::reverse) {
    const auto node = directory(path);
    const bool is_there = node && (*node)->type() == S_IFDIR;
    const Status done = is_there ? set_mode(**node, mode) : ok();
    if (closed) closed = done;
  }
  opened_.clear();
  return closed;
}

Status ImportMirror::change_names(const std::vector<HostDrift>& drifts) {
  for (const HostDrift& drift : drifts) TRY(open_above(std::string(text::parent_part(drift.path))));
  for (const HostDrift& drift : drifts | std::views::reverse) {
    if (drift.recorded.exists() && !stays(drift)) TRY(remove(drift));
  }
  for (const HostDrift& drift : drifts) {
    if (!drift.now.exists()) continue;
    const Status added = add(drift);
    if (!added && added.error().code != ENOENT) return added;
  }
  return ok();
}

// What vanishes between the look and this is found to be so by the next look.
Status ImportMirror::apply(const std::vector<HostDrift>& drifts) {
  const Status changed = change_names(drifts);
  const Status closed = close_again();
  TRY(changed);
  TRY(closed);
  for (const HostDrift& drift : drifts | std::views::reverse) {
    if (drift.now.is_directory()) TRY(set(*TRY(directory(drift.path)), drift.path));
  }
  return ok();
}

}  // namespace agentfs
