// SPDX-License-Identifier: MIT
#include "fs/fuse/reply.h"

#include <unistd.h>

#include "fs/fuse/dispatch.h"

namespace agentfs::fuse {
namespace {

// libfuse has the flag from 3.15 on.
template <class Info>
void set_parallel_writes(Info& info, bool on) {
  if constexpr (requires { info.parallel_direct_writes; }) info.parallel_direct_writes = on;
}

}  // namespace

void reply_error(fuse_req_t request, const Error& error) {
  // A request that nobody waits for any more is answered all the same: ENOENT is then ignored.
  ::fuse_reply_err(request, error.code > 0 ? error.code : EREMOTEIO);
}

void reply_status(fuse_req_t request, const Status& status) {
  ::fuse_reply_err(request, status ? 0 : status.error().code);
}

void reply_bytes(fuse_req_t request, const vfs::Bytes& bytes) {
  if (bytes.descriptor < 0) {
    ::fuse_reply_buf(request, bytes.text.data(), bytes.text.size());
    return;
  }
  thread_local std::string buffer;
  if (buffer.size() < bytes.count) buffer.resize(bytes.count);
  const ssize_t got = ::pread(bytes.descriptor, buffer.data(), bytes.count, bytes.offset);
  if (got < 0) {
    ::fuse_reply_err(request, errno);
  } else {
    ::fuse_reply_buf(request, buffer.data(), static_cast<std::size_t>(got));
  }
}

fuse_entry_param entry_of(const vfs::Found& found, std::uint64_t id) {
  fuse_entry_param entry{};
  entry.ino = id;
  entry.attr = found.attributes;
  entry.attr_timeout = found.validity.attributes;
  entry.entry_timeout = found.validity.entry;
  return entry;
}

void set_open_flags(const vfs::OpenFlags& flags, fuse_file_info& info) {
  info.direct_io = flags.direct_io;
  info.keep_cache = flags.keep_cache;
  info.noflush = flags.no_flush;
  info.cache_readdir = flags.cache_directory;
  set_parallel_writes(info, flags.parallel_writes);
}

std::uint64_t ParkedRequests::add(fuse_req_t request, std::function<void()> cancel) {
  std::uint64_t number = 0;
  {
    Lock lock(mutex_);
    if (ended_) return 0;
    number = next_++;
    cancels_.emplace(number, std::move(cancel));
  }
  // libfuse may call back at any time until the reply, so it is given a number, not an object that
  // the reply frees; the table it belongs to is the session's.
  static_assert(sizeof(std::uint64_t) <= sizeof(void*));
  ::fuse_req_interrupt_func(request, &ParkedRequests::interrupted, reinterpret_cast<void*>(number));
  return number;
}

bool ParkedRequests::take(std::uint64_t number) {
  std::function<void()> dropped;
  Lock lock(mutex_);
  const auto found = cancels_.find(number);
  if (ended_ || found == cancels_.end()) return false;
  dropped = std::move(found->second);
  cancels_.erase(found);
  return true;
}

// Called with libfuse's lock on the request held: the work is for the event thread.
void ParkedRequests::interrupted(fuse_req_t request, void* data) {
  ParkedRequests& table = context_of(request).parked;
  const auto number = reinterpret_cast<std::uint64_t>(data);
  table.loop_.post([&table, number] { table.cancel(number); });
}

void ParkedRequests::cancel(std::uint64_t number) {
  std::function<void()> cancel;
  {
    Lock lock(mutex_);
    const auto found = cancels_.find(number);
    if (found != cancels_.end()) cancel = found->second;
  }
  if (cancel) cancel();
}

void ParkedRequests::end() {
  std::unordered_map<std::uint64_t, std::function<void()>> left;
  {
    Lock lock(mutex_);
    ended_ = true;
    left.swap(cancels_);
  }
  for (auto& [number, cancel] : left) cancel();
}

}  // namespace agentfs::fuse
