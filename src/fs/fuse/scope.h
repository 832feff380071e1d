// SPDX-License-Identifier: MIT
// The two lines every operation begins with: the request, and the node or handle it is about.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <array>

#include "fs/fuse/dispatch.h"
#include "fs/fuse/request.h"
#include "fs/vfs/with_room.h"

namespace agentfs::fuse {

// Once the request has been answered: the host's kernel asks for all of the file again.
inline void forget_cached(const Context& context, fuse_ino_t id) {
  context.services.notices().post([channel = context.channel, id] {
    if (const auto to = channel->invalidator()) to->inode(id);
  });
}

struct Scope {
  Scope(fuse_req_t held, std::string_view operation, int open_flags = 0, bool drops_set_id = false)
      : Scope(held, operation, {.open_flags = open_flags, .drops_set_id = drops_set_id}) {}
  Scope(fuse_req_t held, std::string_view operation, FuseRequest::Way way)
      : request(held),
        context(context_of(held)),
        asked(held, context.services, context.resolver,
              {.open_flags = way.open_flags,
               .part = context.channel->part(),
               .drops_set_id = way.drops_set_id,
               .is_written_back = way.is_written_back}) {
    // libfuse ends the threads of its rings by pthread_cancel, which is not to unwind what is ours.
    if (asked.part() == vfs::Part::trees) ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    if (context.awake) context.awake->asked();
    context.services.count(asked.part() == vfs::Part::trees ? "data" : "tree", operation);
  }
  Result<vfs::NodeRef> node(fuse_ino_t id) {
    vfs::NodeRef node = TRY(context.channel->node(id));
    if (::fuse_req_ctx(request)->pid != context.announcer->helper()) return node;
    return context.announcer->shown(std::move(node));
  }
  Result<std::shared_ptr<vfs::Handle>> handle(const fuse_file_info* info) {
    if (auto found = context.channel->handle(info->fh)) return found;
    return fail(EBADF, "handle {}: not open", info->fh);
  }
  void forget_cached(fuse_ino_t id) const { fuse::forget_cached(context, id); }
  uid_t uid() const { return ::fuse_req_ctx(request)->uid; }
  vfs::Opener opener() const { return {uid(), asked.process()}; }
  // For `errors` of who asks: why, where the errno alone does not tell.
  void note(const vfs::Node& node, const Error& error) const {
    context.services.note_error(asked.caller(), node.path(), error);
  }
  void reply(const Status& status) { reply_status(request, status); }
  void entry(const Result<vfs::Found>& found) {
    if (!found) return reply_error(request, found.error());
    const std::uint64_t id = context.channel->remember(found->node);
    const fuse_entry_param param = entry_of(*found, id);
    // An answer that the kernel did not take has counted no lookup.
    if (::fuse_reply_entry(request, &param) != 0) context.channel->forget(id, 1);
  }
  // ENOENT, which is believed for so long. Who waits for the answer has the directory's lock until
  // it is believed, and what makes it untrue takes that lock: no answer of before comes after.
  void absent(double validity) {
    fuse_entry_param none{};
    none.entry_timeout = validity;
    ::fuse_reply_entry(request, &none);
  }
  void opened(fuse_ino_t id, const Result<vfs::Opened>& found, fuse_file_info* info) {
    if (!found) return reply_error(request, found.error());
    set_open_flags(found->flags, *info);
    if (Status open = context.backings.open(request, id, *found->handle, *info); !open) {
      found->handle->release();
      return reply_error(request, open.error());
    }
    info->fh = context.channel->keep(found->handle, opener());
    // Interrupted before it was told: the kernel will never release what it does not know.
    if (::fuse_reply_open(request, info) != 0) release(id, info);
  }
  void release(fuse_ino_t id, const fuse_file_info* info) {
    const auto dropped = context.channel->drop(info->fh);
    if (!dropped) return;
    context.backings.close(request, id, *dropped);
    dropped->release();
  }
  void attributes(const Result<vfs::Attributes>& found) {
    if (!found) return reply_error(request, found.error());
    ::fuse_reply_attr(request, &found->attributes, found->validity);
  }

  fuse_req_t request;
  Context& context;
  FuseRequest asked;
};

// on_node(scope, id, work): work(node) gives a Result; the error of a node that is not there is
// the operation's.
template <class Work>
auto on_node(Scope& scope, fuse_ino_t id, Work&& work)
    -> decltype(work(std::declval<vfs::Node&>())) {
  const vfs::NodeRef node = TRY(scope.node(id));
  auto done = vfs::with_room(scope.context.services, [&] { return work(*node); });
  const int code = done ? 0 : done.error().code;
  constexpr auto kTold = std::to_array({EROFS, ENFILE, EMFILE, ENOSPC, EMLINK});
  if (std::ranges::find(kTold, code) != kTold.end()) {
    scope.note(*node, done.error());
  }
  return done;
}

// The same of work that opens a file.
template <class Work>
auto opening(Scope& scope, fuse_ino_t id, Work&& work) {
  return on_node(scope, id, [&](vfs::Node& node) -> decltype(work(node)) {
    if (node.takes_descriptor()) TRY(scope.context.channel->may_open(scope.opener()));
    return work(node);
  });
}

template <class Work>
auto on_handle(Scope& scope, const fuse_file_info* info, Work&& work)
    -> decltype(work(std::declval<vfs::Handle&>())) {
  const std::shared_ptr<vfs::Handle> handle = TRY(scope.handle(info));
  return work(*handle);
}

}  // namespace agentfs::fuse
