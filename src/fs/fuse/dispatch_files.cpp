// SPDX-License-Identifier: MIT
// Operations on open files. Reads and writes may be answered later.
#include "fs/fuse/scope.h"

namespace agentfs::fuse {
namespace {

// The kernel asks for the attributes of what it has created where they are not valid as long as it
// takes to open it. It counts in ticks: 1 to 4 ms.
constexpr double kOneOpen = 0.001;

// Of what comes without a word of the caller's capabilities.
bool must_drop_set_id(fuse_req_t request) {
  return context_of(request).clears_set_id && ::fuse_req_ctx(request)->uid != 0;
}

void do_open(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  Scope scope(request, "open", info->flags);
  scope.opened(
      id, opening(scope, id, [&](vfs::Node& node) { return node.open(scope.asked, info->flags); }),
      info);
}

void answer_created(Scope& scope, const Result<vfs::CreatedNode>& created, fuse_file_info* info) {
  const fuse_req_t request = scope.request;
  if (!created) return reply_error(request, created.error());
  vfs::Channel& channel = *scope.context.channel;
  const bool is_known = channel.known(created->found.node.get()) != 0;
  const std::uint64_t id = channel.remember(created->found.node);
  fuse_entry_param entry = entry_of(created->found, id);
  vfs::Handle& handle = *created->opened.handle;
  set_open_flags(created->opened.flags, *info);
  if (Status open = scope.context.backings.open(request, id, handle, *info, is_known); !open) {
    handle.release();
    channel.forget(id, 1);
    return reply_error(request, open.error());
  }
  if (handle.bypassed()) entry.attr_timeout = kOneOpen;  // a mapping changes them unseen
  info->fh = channel.keep(created->opened.handle, scope.opener());
  if (::fuse_reply_create(request, &entry, info) != 0) {
    scope.release(id, info);
    channel.forget(id, 1);
  }
}

void do_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* info) {
  Scope scope(request, "create", info->flags);
  answer_created(
      scope,
      opening(scope, parent,
              [&](vfs::Node& node) { return node.create(scope.asked, name, info->flags, mode); }),
      info);
}

void do_tmpfile(fuse_req_t request, fuse_ino_t directory, mode_t mode, fuse_file_info* info) {
  Scope scope(request, "tmpfile", info->flags);
  answer_created(scope,
                 opening(scope, directory,
                         [&](vfs::Node& node) {
                           return node.create_nameless(scope.asked, info->flags, mode);
                         }),
                 info);
}

void do_read(fuse_req_t request, fuse_ino_t, std::size_t count, off_t offset,
             fuse_file_info* info) {
  Scope scope(request, "read", info->flags);
  const auto handle = scope.handle(info);
  if (!handle) return reply_error(request, handle.error());
  // The handle is kept by the answer: a parked read may outlive its release.
  answer<vfs::Bytes>(
      request, scope.context.parked,
      [&](const Completion<vfs::Bytes>& done) {
        (*handle)->read(scope.asked, offset, count, done);
      },
      [kept = *handle](fuse_req_t held, const Result<vfs::Bytes>& bytes) {
        if (!bytes) return reply_error(held, bytes.error());
        reply_bytes(held, *bytes);
      });
}

void do_write(fuse_req_t request, fuse_ino_t id, const char* bytes, std::size_t size, off_t offset,
              fuse_file_info* info) {
  // What the host's kernel writes back of a mapping is at its place, however that was opened.
  const int open_flags = info->writepage != 0 ? 0 : info->flags;
  Scope scope(request, "write",
              {.open_flags = open_flags,
               .drops_set_id = drops_set_id(*info),
               .is_written_back = info->writepage != 0});
  const auto handle = scope.handle(info);
  if (!handle) return reply_error(request, handle.error());
  answer<std::size_t>(
      request, scope.context.parked,
      [&](const Completion<std::size_t>& done) {
        (*handle)->write(scope.asked, offset, {bytes, size}, done);
      },
      [kept = *handle, id, is_written_back = info->writepage != 0](
          fuse_req_t held, const Result<std::size_t>& count) {
        if (count) return void(::fuse_reply_write(held, *count));
        const Context& context = context_of(held);
        reply_error(held, count.error());
        // What was stored in a mapping and is not on the disk is nobody's to read.
        if (is_written_back) forget_cached(context, id);
      });
  if (scope.asked.is_elsewhere()) scope.forget_cached(id);
}

void do_flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  Scope scope(request, "flush", info->flags);
  const auto handle = scope.handle(info);
  if (!handle) return reply_error(request, handle.error());
  answer<Nothing>(
      request, scope.context.parked,
      [&](const Completion<Nothing>& done) { (*handle)->start_flush(scope.asked, done); },
      [kept = *handle](fuse_req_t held, const Status& status) { reply_status(held, status); });
}

void do_release(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  Scope scope(request, "release");
  scope.release(id, info);
  scope.reply(ok());
}

void do_fsync(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
  Scope scope(request, "fsync");
  scope.reply(on_handle(
      scope, info, [&](vfs::Handle& handle) { return handle.fsync(scope.asked, data_only != 0); }));
}

void do_fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  Scope scope(request, "fallocate", 0, must_drop_set_id(request));
  scope.reply(on_handle(scope, info, [&](vfs::Handle& handle) {
    return handle.allocate(scope.asked, mode, offset, length);
  }));
}

void do_lseek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  Scope scope(request, "lseek");
  const auto place = on_handle(
      scope, info, [&](vfs::Handle& handle) { return handle.seek(scope.asked, offset, whence); });
  if (!place) return reply_error(request, place.error());
  ::fuse_reply_lseek(request, *place);
}

void do_copy_file_range(fuse_req_t request, fuse_ino_t, off_t from, fuse_file_info* source,
                        fuse_ino_t target_id, off_t to, fuse_file_info* target, std::size_t count,
                        int) {
  Scope scope(request, "copy_file_range", 0, must_drop_set_id(request));
  const auto source_handle = scope.handle(source);
  if (!source_handle) return reply_error(request, source_handle.error());
  const auto target_handle = scope.handle(target);
  if (!target_handle) return reply_error(request, target_handle.error());
  const auto copied = (*source_handle)->copy_range(scope.asked, from, **target_handle, to, count);
  if (copied) {
    ::fuse_reply_write(request, *copied);
    return;
  }
  // Some of it may be there; the kernel drops its pages of the target only where all went well.
  reply_error(request, copied.error());
  scope.forget_cached(target_id);
}

void do_poll(fuse_req_t request, fuse_ino_t, fuse_file_info* info, fuse_pollhandle* wake) {
  Scope scope(request, "poll");
  // What has to be waited for is in the other session. The kernel does not ask again: io_uring(7)
  // would have it do so 128 times before each read or write that it leaves to a thread.
  if (scope.asked.part() == vfs::Part::trees) {
    if (wake != nullptr) ::fuse_pollhandle_destroy(wake);
    ::fuse_reply_err(request, ENOSYS);
    return;
  }
  std::move_only_function<void()> ready;
  if (wake != nullptr) {
    ready = [owned = std::shared_ptr<fuse_pollhandle>(wake, ::fuse_pollhandle_destroy),
             parked = scope.context.parked] {
      parked->say([&] { ::fuse_lowlevel_notify_poll(owned.get()); });
    };
  }
  const auto events = on_handle(
      scope, info, [&](vfs::Handle& handle) { return handle.poll(scope.asked, std::move(ready)); });
  if (!events) return reply_error(request, events.error());
  ::fuse_reply_poll(request, *events);
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& table) {
  table.open = do_open;
  table.create = do_create;
  set_tmpfile(table, do_tmpfile);
  table.read = do_read;
  table.write = do_write;
  table.flush = do_flush;
  table.release = do_release;
  table.fsync = do_fsync;
  table.fallocate = do_fallocate;
  table.lseek = do_lseek;
  table.copy_file_range = do_copy_file_range;
  table.poll = do_poll;
}

}  // namespace agentfs::fuse
