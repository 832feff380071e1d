// SPDX-License-Identifier: MIT
#include "fs/fuse/reply.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "fs/fuse/dispatch.h"
#include "fs/fuse/pending_signals.h"

namespace agentfs::fuse {
namespace {

// libfuse has the flag from 3.15 on.
template <class Info>
void set_parallel_writes(Info& info, bool on) {
  if constexpr (requires { info.parallel_direct_writes; }) info.parallel_direct_writes = on;
}

}  // namespace

// ENOSYS would make the host's kernel never ask again, for the whole mount.
void reply_error(fuse_req_t request, const Error& error) {
  const int code = error.code == ENOSYS ? ENOTSUP : error.code;
  ::fuse_reply_err(request, code > 0 ? code : EREMOTEIO);
}

void reply_status(fuse_req_t request, const Status& status) {
  if (!status) return reply_error(request, status.error());
  ::fuse_reply_err(request, 0);
}

Error session_ended() { return {ECONNABORTED, "the mount ends"}; }

void reply_bytes(fuse_req_t request, const vfs::Bytes& bytes) {
  if (bytes.descriptor < 0) {
    ::fuse_reply_buf(request, bytes.text.data(), bytes.text.size());
    return;
  }
  thread_local std::string buffer;
  const std::size_t count = std::min(bytes.count, kLargestAnswer);
  char* place = room_in_ring(request, count);
  if (place == nullptr) {
    if (buffer.size() < count) buffer.resize(count);
    place = buffer.data();
  }
  const ssize_t got = ::pread(bytes.descriptor, place, count, bytes.offset);
  if (got < 0) {
    ::fuse_reply_err(request, errno);
  } else {
    ::fuse_reply_buf(request, place, static_cast<std::size_t>(got));
  }
}

namespace {

// Numbers begin anew with each daemon; a file handle that somebody has of an earlier one (see
// open_by_handle_at(2)) is stale, and not another file's.
std::uint64_t session_generation() {
  static const std::uint64_t generation = [] {
    std::uint32_t number = 0;
    const std::string bytes = random_bytes(sizeof number);
    std::memcpy(&number, bytes.data(), sizeof number);
    return number | 1u;
  }();
  return generation;
}

}  // namespace

fuse_entry_param entry_of(const vfs::Found& found, std::uint64_t id) {
  fuse_entry_param entry{};
  entry.ino = id;
  entry.generation = session_generation();
  entry.attr = found.attributes;
  entry.attr_timeout = found.validity.attributes;
  entry.entry_timeout = found.validity.entry;
  return entry;
}

struct statx extended(const struct stat& attributes, const std::optional<timespec>& birth) {
  const auto moment = [](const timespec& time) {
    struct statx_timestamp stamp{};
    stamp.tv_sec = time.tv_sec;
    stamp.tv_nsec = static_cast<std::uint32_t>(time.tv_nsec);
    return stamp;
  };
  struct statx found{};
  found.stx_mask = STATX_BASIC_STATS | (birth ? STATX_BTIME : 0U);
  found.stx_blksize = static_cast<std::uint32_t>(attributes.st_blksize);
  found.stx_nlink = static_cast<std::uint32_t>(attributes.st_nlink);
  found.stx_uid = attributes.st_uid;
  found.stx_gid = attributes.st_gid;
  found.stx_mode = static_cast<std::uint16_t>(attributes.st_mode);
  found.stx_ino = attributes.st_ino;
  found.stx_size = static_cast<std::uint64_t>(attributes.st_size);
  found.stx_blocks = static_cast<std::uint64_t>(attributes.st_blocks);
  found.stx_atime = moment(attributes.st_atim);
  found.stx_mtime = moment(attributes.st_mtim);
  found.stx_ctime = moment(attributes.st_ctim);
  if (birth) found.stx_btime = moment(*birth);
  found.stx_rdev_major = major(attributes.st_rdev);
  found.stx_rdev_minor = minor(attributes.st_rdev);
  return found;
}

void set_open_flags(const vfs::OpenFlags& flags, fuse_file_info& info) {
  info.direct_io = flags.direct_io;
  info.keep_cache = flags.keep_cache;
  info.noflush = flags.no_flush;
  info.cache_readdir = flags.cache_directory;
  set_parallel_writes(info, flags.parallel_writes);
}

Error ParkedRequests::refusal() const {
  if (may_park_) return session_ended();
  return {EAGAIN, "nothing can be waited for in the session of the data trees"};
}

std::uint64_t ParkedRequests::add(fuse_req_t request, std::function<void()> cancel) {
  std::uint64_t number = 0;
  {
    Lock lock(mutex_);
    if (!may_wait_ || !may_park_) return 0;
    number = next_++;
    parked_.emplace(number, Parked{request, std::move(cancel)});
  }
  // libfuse may call back at any time until the reply, so it is given a number, not an object that
  // the reply frees; the table it belongs to is the session's.
  static_assert(sizeof(std::uint64_t) <= sizeof(void*));
  ::fuse_req_interrupt_func(request, &ParkedRequests::interrupted, reinterpret_cast<void*>(number));
  return number;
}

bool ParkedRequests::take(std::uint64_t number) {
  Parked dropped;  // freed after the lock
  Lock lock(mutex_);
  const auto found = parked_.find(number);
  if (found == parked_.end()) return false;
  dropped = std::move(found->second);
  parked_.erase(found);
  ++speaking_;
  return true;
}

bool ParkedRequests::begin() {
  Lock lock(mutex_);
  if (ended_) return false;
  ++speaking_;
  return true;
}

void ParkedRequests::spoken() {
  Lock lock(mutex_);
  if (--speaking_ == 0) silent_.notify_all();
}

// Called with libfuse's lock on the request held: the work is for the event thread.
void ParkedRequests::interrupted(fuse_req_t request, void* data) {
  const auto number = reinterpret_cast<std::uint64_t>(data);
  const auto table = context_of(request).parked;
  const pid_t thread = ::fuse_req_ctx(request)->pid;
  table->loop_.post([table, number, thread] { table->interrupt(number, thread); });
}

// The host's kernel says once that a request is interrupted, and not that more has come since.
void ParkedRequests::interrupt(std::uint64_t number, pid_t thread) {
  constexpr std::chrono::milliseconds kLookAgain(50);
  if (!is_interrupted_by_news(thread)) return cancel(number);
  if (!is_parked(number)) return;
  loop_.after(kLookAgain, [weak = weak_from_this(), number, thread] {
    if (const auto self = weak.lock()) self->interrupt(number, thread);
  });
}

bool ParkedRequests::is_parked(std::uint64_t number) {
  Lock lock(mutex_);
  return parked_.contains(number);
}

void ParkedRequests::cancel(std::uint64_t number) {
  std::function<void()> cancel;
  {
    Lock lock(mutex_);
    const auto found = parked_.find(number);
    if (found != parked_.end()) cancel = found->second.cancel;
  }
  if (cancel) cancel();
}

void ParkedRequests::end_waits() {
  std::unordered_map<std::uint64_t, Parked> left;
  {
    Lock lock(mutex_);
    may_wait_ = false;
    left.swap(parked_);
    speaking_ += static_cast<unsigned>(left.size());
  }
  for (const auto& [number, parked] : left) {
    reply_error(parked.request, session_ended());
    parked.cancel();
    spoken();
  }
}

void ParkedRequests::end() {
  {
    Lock lock(mutex_);
    ended_ = true;
  }
  end_waits();
  Lock lock(mutex_);
  while (speaking_ > 0) silent_.wait(lock);
}

}  // namespace agentfs::fuse
