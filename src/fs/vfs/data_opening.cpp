// SPDX-License-Identifier: MIT
// Files of data trees that are opened, and made by that.
#include <fcntl.h>

#include <optional>

#include "fs/vfs/charge.h"
#include "fs/vfs/data_guard.h"
#include "fs/vfs/data_handle.h"

namespace agentfs::vfs {
namespace {

bool opens_for_writing(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

OpenFlags file_flags(bool writable, Region region) {
  return {.keep_cache = region != Region::own, .no_flush = !writable, .parallel_writes = false};
}

}  // namespace

Kept DataNode::keep_truncated(const TreeNode& file, const std::string& path, int flags) {
  const bool is_kept = (flags & O_TRUNC) != 0 && region_ == Region::plain;
  return is_kept ? tree_->keeper().keep_bytes(file, path) : Kept{};
}

Result<Opened> DataNode::open(Request& request, int flags) {
  told_ = false;
  const bool writable = opens_for_writing(flags);
  Caller writer;
  if (writable) {
    writer = TRY(request.writer());
    TRY(tree_->services().check_room((flags & O_TRUNC) != 0));
    TRY(check_in_place());
  }
  DataGuard guard(request, *tree_, region_);
  struct stat before{};
  Charge charge(*tree_, &request);
  std::optional<Undertaking> cut;
  if ((flags & O_TRUNC) != 0) {
    charge.touch(*this);
    // What others have kept and written is of the file as it was until now.
    TRY(tell_writes());
    cut.emplace(*tree_, writer, naming(), TreeChange{.operation = "truncate"});
  }
  TRY(guard.open(*this, flags));
  ChangingAlone cutting;
  Kept kept;
  if (cut) {
    cutting = TRY(begin_cut(true));
    before = TRY(tree_->store().attributes(*file_));
    if (has_name(before)) kept = keep_truncated(*file_, cut->row().path, flags);
  }
  auto file = tree_->store().open(*file_, flags, request.tree());
  cutting = {};
  if (!file) {
    tree_->keeper().take_back(kept);
    // The disk's own errors speak for themselves; that a lent file's bytes are gone does not.
    if (file.error().code == EBUSY)
      tree_->services().note_error(request.caller(), path(), file.error());
    return std::unexpected(std::move(file).error());
  }
  if (cut) {
    if (before.st_size != 0) tree_->drop_bytes(self());
    TRY(tree_->record_open(writer, cut->row().path, before, flags, kept));
  } else if (writable) {
    const ChangeOrder::Turn turn(tree_->order(), naming());
    TRY(tree_->record_open(writer, turn.names().path, before, flags, kept));
  }
  const auto handle =
      std::make_shared<DataHandle>(self(), std::move(*file), std::move(writer), writable);
  if ((flags & O_TRUNC) != 0) handle->keeper().settle();
  handle->begin(guard.done());
  return Opened{handle, file_flags(writable, region_)};
}

Result<CreatedNode> DataNode::create(Request& request, const std::string& name, int flags,
                                     mode_t mode) {
  TRY(may_make(request, name));
  Caller writer = TRY(request.writer());
  Charge charge(*tree_, &request);
  DataGuard guard(request, *tree_, region_of(region_, name));
  TRY(guard.create(*this, name));
  // Only a file that this call made may be taken away again, so one that is there is just opened.
  if (Status room = charge.make(*this, 0); !room) {
    const bool may_be_there = (flags & O_EXCL) == 0;
    auto there = tree_->store().lookup(*file_, name);
    if (!there || !may_be_there) return std::unexpected(std::move(room).error());
    return open_existing(request, name, child(name), flags & ~O_CREAT, mode);
  }
  Undertaking making(*tree_, writer, naming(name), {.operation = "create"});
  auto made_new = tree_->store().create(*file_, name, flags | O_EXCL, mode, request.tree());
  if (!made_new && made_new.error().code == EEXIST && (flags & O_EXCL) == 0) {
    return open_existing(request, name, making.row().path, flags, mode);
  }
  auto created = TRY(std::move(made_new));
  Found entry = TRY(made(request, created.entry, name, {making, charge}));
  return opened(std::move(entry), std::move(created.file), std::move(writer), flags, true,
                guard.done());
}

Result<CreatedNode> DataNode::open_existing(Request& request, const std::string& name,
                                            const std::string& path, int flags, mode_t mode) {
  Caller writer = TRY(request.writer());
  // The host's kernel has missed it, since it came past the mount: it looks again, and follows a
  // link or waits for the other end of a FIFO itself.
  const auto entry = tree_->store().lookup(*file_, name);
  const mode_t type = entry ? entry->node->type() : S_IFREG;
  if (type != S_IFREG && type != S_IFDIR) return fail_errno(ESTALE, path);
  TRY(tree_->services().check_room((flags & O_TRUNC) != 0));
  Charge charge(*tree_, &request);
  DataGuard guard(request, *tree_, region_of(region_, name));
  struct stat before{};
  Kept kept;
  Undertaking opening(*tree_, writer, naming(name), {.operation = "open"});
  TRY(guard.open([&] { return path; }, flags));
  ChangingAlone cutting;
  if ((flags & O_TRUNC) != 0) {
    const TreeEntry there = TRY(tree_->store().lookup(*file_, name));
    const auto node = tree_->ensure(there, region_of(region_, name));
    charge.touch(*node);
    TRY(node->tell_writes());
    cutting = TRY(node->begin_cut(true));
    before = TRY(tree_->store().attributes(*there.node));
    kept = node->keep_truncated(*there.node, path, flags);
  }
  auto created = tree_->store().create(*file_, name, flags, mode, request.tree());
  cutting = {};
  if (!created) {
    tree_->keeper().take_back(kept);
    return std::unexpected(std::move(created).error());
  }
  const auto made_or_found = tree_->ensure(created->entry, region_of(region_, name));
  charge.made(made_or_found);  // perhaps by now
  if (before.st_size != 0) tree_->drop_bytes(made_or_found);
  TRY(tree_->record_open(writer, opening.row().path, before, flags, kept));
  return opened(found(created->entry, name), std::move(created->file), std::move(writer), flags,
                false, guard.done());
}

CreatedNode DataNode::opened(Found entry, std::unique_ptr<TreeFile> file, Caller writer, int flags,
                             bool is_new, Publication publication) {
  auto node = std::static_pointer_cast<DataNode>(entry.node);
  node->told_ = false;
  const Region region = node->region();
  auto handle = std::make_shared<DataHandle>(std::move(node), std::move(file), std::move(writer),
                                             opens_for_writing(flags));
  if (is_new || (flags & O_TRUNC) != 0) handle->keeper().settle();
  handle->begin(std::move(publication));
  return {std::move(entry), {std::move(handle), file_flags(true, region)}};
}

}  // namespace agentfs::vfs
