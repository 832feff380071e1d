// SPDX-License-Identifier: MIT
// Bringing old contents back: a change like any other.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/copy.h"
#include "base/nanoseconds.h"
#include "base/permissions.h"
#include "base/text.h"
#include "fs/vfs/data_changes.h"
#include "fs/vfs/dressing.h"
#include "fs/vfs/history_node.h"
#include "fs/vfs/path_walk.h"
#include "fs/vfs/wait_for.h"

namespace agentfs::vfs {
namespace {

constexpr std::size_t kCopiedAtOnce = 1U << 20U;

std::string name_of(const std::string& path) { return std::string(text::last_part(path)); }

// One piece of the old content into the new file.
Status write_piece(Request& request, Handle& handle, off_t offset, std::string_view bytes) {
  const auto put = wait_for<std::size_t>(
      [&](Completion<std::size_t> done) { handle.write(request, offset, bytes, done); });
  if (!put) return std::unexpected(put.error());
  return *put == bytes.size() ? ok() : fail(ENOSPC, "restore: the disk took only a part");
}

// Holes stay holes: only what holds data is written.
Status copy_bytes(Request& request, int from, Handle& to, off_t size) {
  std::string piece(kCopiedAtOnce, '\0');
  for (off_t at = 0;;) {
    const auto data = next_data(from, at, size);
    if (!data) return ok();
    const auto wanted = std::min(piece.size(), static_cast<std::size_t>(data->end - data->begin));
    const ssize_t got = ::pread(from, piece.data(), wanted, data->begin);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("restore: reading what was kept");
    if (got == 0) return ok();
    TRY(write_piece(request, to, data->begin,
                    std::string_view(piece).substr(0, static_cast<std::size_t>(got))));
    at = data->begin + got;
  }
}

// Another owner takes them away, so they come after that.
Status give_capabilities(Request& request, const Xattrs& from, Node& to) {
  const auto found = from.find(kCapabilityName);
  if (found == from.end()) return ok();
  return disk_error_of(to.set_xattr(request, found->first, found->second, 0));
}

SetAttributes attributes_of(const RestoreStep& step) {
  SetAttributes wanted{.which = SetAttributes::mode | SetAttributes::mtime};
  wanted.values.st_mode = step.mode & kPermissions;
  wanted.values.st_mtim = time_of(step.modified);
  if (::geteuid() == 0) {
    wanted.which |= SetAttributes::uid | SetAttributes::gid;
    wanted.values.st_uid = step.uid;
    wanted.values.st_gid = step.gid;
  }
  return wanted;
}

// False: its group may not be given by who asks, and then the one that it has gets no more than all
// others have.
Result<bool> give_attributes(Request& request, Node& node, Handle* handle, SetAttributes& wanted) {
  const auto given = node.set_attributes(request, handle, wanted);
  if (given) return true;
  if (given.error().code != EPERM || (wanted.which & SetAttributes::gid) == 0) {
    return std::unexpected(given.error());
  }
  wanted.which &= ~static_cast<unsigned>(SetAttributes::gid);
  wanted.values.st_mode = without_group(wanted.values.st_mode) & ~mode_t{S_ISGID};
  TRY(node.set_attributes(request, handle, wanted));
  return false;
}

// What a file is filled with.
struct FileSource {
  UniqueFd past{};
  Xattrs xattrs{};  // none where it is filled from elsewhere
  std::unique_ptr<TreeFile> elsewhere{};
  struct stat attributes{};

  int file() const { return elsewhere != nullptr ? elsewhere->descriptor() : past.get(); }
  bool is_empty() const { return file() < 0; }
};

Result<FileSource> source_of(const RestoreStep& step, const PastStore& past) {
  FileSource source;
  if (step.bytes) {
    source.elsewhere = TRY(step.bytes());
  } else if (step.content.number != 0) {
    source.past = TRY(past.open(step.content));
    source.xattrs = TRY(past.xattrs(step.content));
  }
  if (source.is_empty() || ::fstat(source.file(), &source.attributes) == 0) return source;
  return fail_errno(step.path);
}

Status fill(Request& request, const FileSource& from, const CreatedNode& to,
            const RestoreStep& step) {
  Handle& handle = *to.opened.handle;
  Node& node = *to.found.node;
  if (!from.is_empty()) TRY(copy_bytes(request, from.file(), handle, from.attributes.st_size));
  if (from.elsewhere != nullptr) TRY(from.elsewhere->check_read());
  TRY(drop_inherited_acls(request, from.xattrs, node));  // first: they take room of the others
  TRY(set_xattrs(request, from.xattrs, node));
  TRY(handle.flush(request));
  // A hole at the end; before the mode, since who is not root loses set-ID bits by it.
  if (!from.is_empty()) {
    SetAttributes whole{.which = SetAttributes::size};
    whole.values.st_size = from.attributes.st_size;
    TRY(node.set_attributes(request, &handle, whole));
  }
  SetAttributes wanted = attributes_of(step);
  const bool has_group = TRY(give_attributes(request, node, &handle, wanted));
  TRY(give_capabilities(request, from.xattrs, node));
  TRY(set_xattrs(request, step.xattrs, node));
  if (has_group) return ok();
  wanted.which = SetAttributes::mode;  // once more: an ACL among them has set it
  TRY(node.set_attributes(request, &handle, wanted));
  return ok();
}

// The bits of the mode for the group are what an access list allows at most: without that, they
// would be the group's own.
void close_to_group(SetAttributes& wanted) { wanted.values.st_mode &= ~mode_t{S_IRWXG}; }

// As much as can be; the first error.
Status finish_directory(Request& request, Node& node, const RestoreStep& step) {
  constexpr const char* kAccess = kAclNames[0];
  Status first = ok();
  const auto note = [&](Status done) {
    if (!done && first) first = std::move(done);
  };
  SetAttributes wanted = attributes_of(step);
  Xattrs others = step.xattrs;
  const auto list = others.extract(kAccess);
  if (list.empty() && node.get_xattr(request, kAccess)) {
    SetAttributes closed = wanted;
    closed.which = SetAttributes::mode;
    close_to_group(closed);
    TRY(node.set_attributes(request, nullptr, closed));
  }
  note(drop_inherited_acls(request, step.xattrs, node));
  note(set_xattrs(request, others, node));
  if (!list.empty()) {
    const Status set = set_xattrs(request, {{list.key(), list.mapped()}}, node);
    const bool is_listed = set && node.get_xattr(request, kAccess).has_value();
    if (!is_listed) close_to_group(wanted);
    note(set);
  }
  const auto set = give_attributes(request, node, nullptr, wanted);
  if (!set) note(std::unexpected(set.error()));
  return first;
}

}  // namespace

Status DataChanges::begin_restore(const std::vector<RestoreStep>& steps, bool is_resumed) {
  is_resumed_ = is_resumed;
  std::set<std::string_view> directories;
  for (const RestoreStep& step : steps) {
    if (!step.other.empty()) firsts_.try_emplace(step.other);
    const std::string_view path = step.path;
    for (auto slash = path.find('/', 1); slash != path.npos; slash = path.find('/', slash + 1)) {
      directories.insert(path.substr(0, slash));
    }
    if (S_ISDIR(step.mode)) directories.insert(path);
  }
  // A path comes after those above it.
  const auto is_in_the_way = [&](std::string_view path) {
    NodeRef at = root_;
    for (const std::string_view name : text::split(path.substr(1), '/')) {
      const auto found = at->lookup(request_, std::string(name));
      if (!found) return false;
      if (found->node->type() != S_IFDIR) return true;
      at = found->node;
    }
    return false;
  };
  const auto found = std::ranges::find_if(directories, is_in_the_way);
  return found == directories.end() ? ok() : refuse_no_directory(*found);
}

Result<bool> DataChanges::restore(const RestoreStep& step, const PastStore& past) {
  if (S_ISDIR(step.mode)) {
    TRY(restore_directory(step));
    return true;
  }
  const NodeRef directory = TRY(ensure_directory(parent_path(step.path)));
  const std::string name = name_of(step.path);
  TRY(may_change(*directory, name));
  const Temporary lies_ready = TRY(Temporary::begin(context_->services, *directory));
  const std::string& temporary = lies_ready.name;
  const auto old = directory->lookup(request_, name);
  if (old && step.is_missing) return false;
  if (old && old->node->type() == S_IFDIR) {
    return fail(EISDIR, "{}: a directory has this name now; moved away, the file can come back",
                step.path);
  }
  const auto made = make_again(*directory, temporary, step, past);
  Status put = made ? ok() : Status(std::unexpected(made.error()));
  const unsigned how = step.is_missing ? RENAME_NOREPLACE : 0;
  if (put) put = directory->rename(request_, temporary, *directory, name, how);
  if (!put) static_cast<void>(directory->unlink(request_, temporary));
  if (made && !put && step.is_missing && put.error().code == EEXIST) return false;
  note_put(directory, name, old, step.mode & S_IFMT, put.has_value());
  // Its further names lead to it, also where it is the first of them that could come back.
  const auto first = firsts_.find(step.other.empty() ? step.path : step.other);
  if (put && first != firsts_.end()) first->second = *made;
  TRY(lies_ready.as_of(step.path, std::move(put)));
  return true;
}

// Of a restore that a start ends, what came back before is known by its looks.
NodeRef DataChanges::first_of(const RestoreStep& step) {
  const auto known = firsts_.find(step.other);
  if (known != firsts_.end() && known->second != nullptr) return known->second;
  if (!is_resumed_) return nullptr;
  const auto there = walk(request_, context_, root_, step.other);
  if (!there) return nullptr;
  const auto its = there->node->attributes(request_);
  if (!its) return nullptr;
  const struct stat& now = its->attributes;
  const bool is_it = (now.st_mode & (S_IFMT | kPermissions)) == step.mode &&
                     nanoseconds_of(now.st_mtim) == step.modified;
  return is_it ? there->node : nullptr;
}

Result<NodeRef> DataChanges::make_again(Node& directory, const std::string& name,
                                        const RestoreStep& step, const PastStore& past) {
  const NodeRef first = step.other.empty() ? nullptr : first_of(step);
  if (first != nullptr) {
    const auto linked = directory.link(request_, *first, name);
    if (linked) return first;
    const bool has_gone = linked.error().code == ESTALE || linked.error().code == ENOENT;
    if (!has_gone) return std::unexpected(linked.error());
  }
  if (S_ISREG(step.mode)) return restore_file(directory, name, step, past);
  const bool is_link = S_ISLNK(step.mode);
  const Found made = is_link ? TRY(directory.make_link(request_, name, step.target))
                             : TRY(directory.make_node(request_, name, step.mode, 0));
  SetAttributes wanted = attributes_of(step);
  if (is_link) {
    wanted.which &= ~static_cast<unsigned>(SetAttributes::mode);
  } else {
    TRY(drop_inherited_acls(request_, {}, *made.node));
  }
  TRY(set_xattrs(request_, step.xattrs, *made.node));
  (void)TRY(give_attributes(request_, *made.node, nullptr, wanted));
  return made.node;
}

Status DataChanges::restore_directory(const RestoreStep& step) {
  const NodeRef parent = TRY(ensure_directory(parent_path(step.path)));
  TRY(may_change(*parent, name_of(step.path)));
  const auto there = parent->lookup(request_, name_of(step.path));
  const auto* const ours = there ? dynamic_cast<const HistoryNode*>(there->node.get()) : nullptr;
  const bool is_there = there && there->node->type() == S_IFDIR;
  if (is_there && (ours == nullptr || ours->real() != nullptr)) {
    if (!step.is_again) return ok();
    seen_.push_back({TreeEvent::Kind::attributes, step.path, S_IFDIR});
    made_.push_back({.node = there->node});  // who works in it keeps its name
    finishing_.emplace_back(there->node, step);
    return ok();
  }
  const Found made = TRY(make_directory(parent, name_of(step.path), 0700));
  TRY(drop_inherited_acls(request_, {}, *made.node));
  finishing_.emplace_back(made.node, step);
  return ok();
}

// What is put into a directory needs the right to, has its default ACL, and moves its time. One
// that cannot be finished keeps none of the others from it.
Status DataChanges::finish_restore() {
  Status first = ok();
  const auto note = [&](Status done) {
    if (!done && first) first = std::move(done);
  };
  for (auto at = finishing_.rbegin(); at != finishing_.rend(); ++at) {
    note(finish_directory(request_, *at->first, at->second));
  }
  finishing_.clear();
  return first;
}

// The temporary file is nobody's history: only what it replaces is kept.
Result<NodeRef> DataChanges::restore_file(Node& directory, const std::string& name,
                                          const RestoreStep& step, const PastStore& past) {
  const FileSource source = TRY(source_of(step, past));
  const CreatedNode created =
      TRY(directory.create(request_, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
  const Status filled = fill(request_, source, created, step);
  created.opened.handle->release();
  TRY(filled);
  return created.found.node;
}

}  // namespace agentfs::vfs
