// SPDX-License-Identifier: MIT
// Operations on nodes by number. Those on names are in dispatch_names.cpp, on open files in
// dispatch_files.cpp.
#include "fs/fuse/dispatch.h"

#include <algorithm>

#include "base/text.h"
#include "fs/fuse/scope.h"

namespace agentfs::fuse {
namespace {

// Files of an overlayfs can be gone past to only at the price that no other can be put upon us.
void offer_passthrough(Context& context, fuse_conn_info& connection) {
  if (!context.options.passthrough) return;
#if defined(FUSE_CAP_PASSTHROUGH)
  connection.max_backing_stack_depth = context.options.stacked_disk ? 1 : 0;
  if (want(connection, FUSE_CAP_PASSTHROUGH)) context.backings.enable(context.session);
#else
  static_cast<void>(connection);
#endif
}

// What nobody waits for, releases of files that were closed above all, the kernel hands out so many
// at a time; the default, 12, lets hundreds of programs open files faster than those that they have
// closed are heard of.
constexpr unsigned kMostInBackground = 4096;

// `-o max_read=`, which libfuse gives to the kernel and wants to be told of here; 0: no bound.
unsigned largest_read(const SessionOptions& options) {
  constexpr std::string_view kOption = "max_read=";
  unsigned most = 0;
  for (const std::string_view option : options.options) {
    if (!option.starts_with(kOption)) continue;
    most = text::number<unsigned>(option.substr(kOption.size())).value_or(most);
  }
  return most;
}

void do_init(void* user, fuse_conn_info* connection) {
  auto& context = *static_cast<Context*>(user);
  connection->max_read = largest_read(context.options);
  connection->max_background = kMostInBackground;
  context.services.feature(fmt::format("libfuse {}", ::fuse_pkgversion()), true);
  context.services.feature("passthrough", false);
  context.services.feature("tmpfile", passes_tmpfile());
  context.services.feature("statx", passes_statx());
  if (context.options.beside == nullptr) {
    context.services.feature("busy_poll", context.options.busy_poll);
    context.services.feature("awake_cpus", context.awake != nullptr);
  }
  // Who writes is the kernel's knowledge: set-user-id bits are its to clear, or ours where it
  // tells. It asks for security.capability before each write(2) in the one case, and once in the
  // other.
  context.clears_set_id = want_set_id(*connection);
  context.services.feature("handle_killpriv_v2", context.clears_set_id);
  // No writeback cache: what write(2) acknowledged must have reached us. Pages are not dropped for
  // a later mtime: it is later because of writes that they have. (Constants of another type in
  // older libfuse.)
  // Nor direct writes that are told as done later: the kernel forgets to drop the pages that it
  // has.
  for (const auto feature :
       {FUSE_CAP_AUTO_INVAL_DATA, FUSE_CAP_HANDLE_KILLPRIV, FUSE_CAP_WRITEBACK_CACHE,
        FUSE_CAP_SPLICE_READ, FUSE_CAP_SPLICE_WRITE, FUSE_CAP_SPLICE_MOVE, FUSE_CAP_ASYNC_DIO}) {
    want_not(*connection, static_cast<std::uint64_t>(feature));
  }
  // A directory's default ACL takes the place of the umask, and is the disk's to see. Where there
  // is one user alone nobody is kept out by ACLs, and asking for them would cost root a request for
  // each file of others.
  want(*connection, FUSE_CAP_DONT_MASK);
  const bool holds_acls = context.options.allow_other && want(*connection, FUSE_CAP_POSIX_ACL);
  context.services.feature("posix_acl", holds_acls);
  // Nodes have locks of their own: one slow lookup does not hold up its directory.
  want(*connection, FUSE_CAP_PARALLEL_DIROPS);
  offer_passthrough(context, *connection);
}

void do_forget(fuse_req_t request, fuse_ino_t id, std::uint64_t lookups) {
  context_of(request).channel->forget(id, lookups);
  ::fuse_reply_none(request);
}

void do_forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
  for (std::size_t i = 0; i < count; ++i) {
    context_of(request).channel->forget(forgets[i].ino, forgets[i].nlookup);
  }
  ::fuse_reply_none(request);
}

void do_getattr(fuse_req_t request, fuse_ino_t id, fuse_file_info*) {
  Scope scope(request, "getattr");
  scope.attributes(
      on_node(scope, id, [&](vfs::Node& node) { return node.attributes(scope.asked); }));
}

// Asked for where somebody wants to know when a file was made.
void do_statx(fuse_req_t request, fuse_ino_t id, int, int, fuse_file_info*) {
  Scope scope(request, "statx");
  std::optional<timespec> birth;
  const auto found = on_node(scope, id, [&](vfs::Node& node) {
    birth = node.birth();
    return node.attributes(scope.asked);
  });
  if (!found) return reply_error(request, found.error());
  struct statx all = extended(found->attributes, birth);
  reply_statx(request, all, found->validity);
}

SetAttributes wanted_attributes(const struct stat& values, int to_set) {
  SetAttributes wanted;
  wanted.values = values;
  const auto take = [&](int flag, unsigned which) {
    if ((to_set & flag) != 0) wanted.which |= which;
  };
  take(FUSE_SET_ATTR_MODE, SetAttributes::mode);
  take(FUSE_SET_ATTR_UID, SetAttributes::uid);
  take(FUSE_SET_ATTR_GID, SetAttributes::gid);
  take(FUSE_SET_ATTR_SIZE, SetAttributes::size);
  take(FUSE_SET_ATTR_ATIME, SetAttributes::atime);
  take(FUSE_SET_ATTR_MTIME, SetAttributes::mtime);
  if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0) {
    wanted.which |= SetAttributes::atime;
    wanted.values.st_atim.tv_nsec = UTIME_NOW;
  }
  if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0) {
    wanted.which |= SetAttributes::mtime;
    wanted.values.st_mtim.tv_nsec = UTIME_NOW;
  }
  return wanted;
}

// chown(2) to nobody else: nothing is to be set, and set-user-id and set-group-id go. The same
// comes before a write of who may not change the owner; there they go with that.
Status chown_to_same(Scope& scope, vfs::Node& node, SetAttributes& wanted) {
  if (!node.takes_descriptor() || node.type() != S_IFREG) return ok();
  const auto now = TRY(node.attributes(scope.asked));
  const uid_t caller = scope.asked.tree().uid;
  const bool may_give = caller == 0 || caller == now.attributes.st_uid;
  if (!may_give || (now.attributes.st_mode & (S_ISUID | S_ISGID)) == 0) return ok();
  wanted.which = SetAttributes::uid | SetAttributes::gid;
  wanted.values.st_uid = now.attributes.st_uid;
  wanted.values.st_gid = now.attributes.st_gid;
  return ok();
}

void do_setattr(fuse_req_t request, fuse_ino_t id, struct stat* values, int to_set,
                fuse_file_info* info) {
  Scope scope(request, "setattr");
  scope.attributes(on_node(scope, id, [&](vfs::Node& node) -> Result<vfs::Attributes> {
    std::shared_ptr<vfs::Handle> open;
    if (info != nullptr) open = TRY(scope.handle(info));
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0 && values->st_size < 0) {  // no kernel sends it
      return fail(EINVAL, "{}: a size of {} bytes", node.path(), values->st_size);
    }
    SetAttributes wanted = wanted_attributes(*values, to_set);
    if (wanted.which == 0) TRY(chown_to_same(scope, node, wanted));
    auto set = node.set_attributes(scope.asked, open.get(), wanted);
    if (!set && set.error().code == EPERM) scope.note(node, set.error());
    return set;
  }));
}

void do_readlink(fuse_req_t request, fuse_ino_t id) {
  Scope scope(request, "readlink");
  const auto target =
      on_node(scope, id, [&](vfs::Node& node) { return node.read_link(scope.asked); });
  if (!target) return reply_error(request, target.error());
  ::fuse_reply_readlink(request, target->c_str());
}

void do_statfs(fuse_req_t request, fuse_ino_t id) {
  Scope scope(request, "statfs");
  scope.context.on_io_uring = is_from_ring(request);
  const auto room =
      on_node(scope, id, [&](vfs::Node& node) { return node.statistics(scope.asked); });
  if (!room) return reply_error(request, room.error());
  ::fuse_reply_statfs(request, &*room);
}

void do_access(fuse_req_t request, fuse_ino_t id, int mask) {
  Scope scope(request, "access");
  scope.reply(on_node(scope, id, [&](vfs::Node& node) { return node.access(scope.asked, mask); }));
}

// --- extended attributes: size 0 asks for the length

void reply_xattr(fuse_req_t request, const Result<std::string>& value, std::size_t room) {
  if (!value) return reply_error(request, value.error());
  if (room == 0) {
    ::fuse_reply_xattr(request, value->size());
  } else if (value->size() > room) {
    reply_error(request, {ERANGE, "the value is longer than the room for it"});
  } else {
    ::fuse_reply_buf(request, value->data(), value->size());
  }
}

// An ACL is a mode, too, of which the host's kernel has no notion where it does not hold ACLs
// itself.
void forget_mode(const Scope& scope, fuse_ino_t id, const char* name) {
  if (!is_acl(name)) return;
  scope.context.parked->say(
      [&] { ::fuse_lowlevel_notify_inval_inode(scope.context.session, id, -1, 0); });
}

void do_setxattr(fuse_req_t request, fuse_ino_t id, const char* name, const char* value,
                 std::size_t size, int flags) {
  Scope scope(request, "setxattr");
  const Status set = on_node(scope, id, [&](vfs::Node& node) {
    return node.set_xattr(scope.asked, name, {value, size}, flags);
  });
  forget_mode(scope, id, name);
  scope.reply(set);
}

void do_getxattr(fuse_req_t request, fuse_ino_t id, const char* name, std::size_t room) {
  Scope scope(request, "getxattr");
  reply_xattr(
      request,
      on_node(scope, id, [&](vfs::Node& node) { return node.get_xattr(scope.asked, name); }), room);
}

void do_listxattr(fuse_req_t request, fuse_ino_t id, std::size_t room) {
  Scope scope(request, "listxattr");
  reply_xattr(request,
              on_node(scope, id, [&](vfs::Node& node) { return node.list_xattr(scope.asked); }),
              room);
}

void do_removexattr(fuse_req_t request, fuse_ino_t id, const char* name) {
  Scope scope(request, "removexattr");
  const Status removed =
      on_node(scope, id, [&](vfs::Node& node) { return node.remove_xattr(scope.asked, name); });
  forget_mode(scope, id, name);
  scope.reply(removed);
}

fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops table{};
  table.init = do_init;
  table.forget = do_forget;
  table.forget_multi = do_forget_multi;
  table.getattr = do_getattr;
  set_statx(table, do_statx);
  table.setattr = do_setattr;
  table.readlink = do_readlink;
  table.statfs = do_statfs;
  table.access = do_access;
  table.setxattr = do_setxattr;
  table.getxattr = do_getxattr;
  table.listxattr = do_listxattr;
  table.removexattr = do_removexattr;
  add_file_operations(table);
  add_directory_operations(table);
  return table;
}

}  // namespace

const fuse_lowlevel_ops& operations() {
  static const fuse_lowlevel_ops table = make_operations();
  return table;
}

}  // namespace agentfs::fuse
