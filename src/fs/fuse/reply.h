// SPDX-License-Identifier: MIT
// Answers to the host's kernel: the only place that turns an Error into an errno, and the one that
// sees to it that each request is answered exactly once.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/completion.h"
#include "base/event_loop.h"
#include "fs/fuse/libfuse.h"
#include "fs/vfs/file_system.h"

namespace agentfs::fuse {

// The host's kernel asks for no more in one request.
constexpr std::size_t kLargestAnswer = 1U << 20U;

void reply_error(fuse_req_t request, const Error& error);
Error session_ended();
void reply_status(fuse_req_t request, const Status& status);
void reply_bytes(fuse_req_t request, const vfs::Bytes& bytes);
fuse_entry_param entry_of(const vfs::Found& found, std::uint64_t id);
// All that stat(2) tells, and when the file was made where that is known.
struct statx extended(const struct stat& attributes, const std::optional<timespec>& birth);
void set_open_flags(const vfs::OpenFlags& flags, fuse_file_info& info);

// The way to the host's kernel for what is said after a handler has returned: answers of parked
// requests, wake-ups, notifications. Shared by all who may still want to speak, since they may
// outlive the session. Threads: all.
class ParkedRequests : public std::enable_shared_from_this<ParkedRequests> {
 public:
  // Without `may_park` each request has to be answered before its handler returns: on io_uring.
  ParkedRequests(EventLoop& loop, bool may_park) : loop_(loop), may_park_(may_park) {}
  // Parks a request; an interrupt calls `cancel`, on the event thread, unless all that it tells who
  // asks is news, after which that would go on: then it waits on until there is more. 0 when the
  // session has ended, or nothing may wait there: then the caller answers, with refusal().
  std::uint64_t add(fuse_req_t request, std::function<void()> cancel);
  Error refusal() const;
  // Sends the answer of a request that is still parked; nobody else will then.
  template <class Send>
  void finish(std::uint64_t number, Send&& send) {
    if (!take(number)) return;
    std::forward<Send>(send)();
    spoken();
  }
  // Says something of its own, unless the session has ended.
  template <class Words>
  void say(Words&& words) {
    if (!begin()) return;
    std::forward<Words>(words)();
    spoken();
  }
  // Answers what is parked with ECONNABORTED and cancels it; nothing is parked any more.
  void end_waits();
  // The same, and nothing is said any more once it has returned. When no handler runs.
  void end();

 private:
  struct Parked {
    fuse_req_t request = nullptr;
    std::function<void()> cancel;
  };
  static void interrupted(fuse_req_t request, void* data);
  void interrupt(std::uint64_t number, pid_t thread);
  bool is_parked(std::uint64_t number);
  void cancel(std::uint64_t number);
  bool take(std::uint64_t number);
  bool begin();
  void spoken();

  EventLoop& loop_;
  const bool may_park_;
  Mutex<Rank::queue> mutex_;
  std::condition_variable_any silent_;
  std::uint64_t next_ GUARDED_BY(mutex_) = 1;
  bool may_wait_ GUARDED_BY(mutex_) = true;
  bool ended_ GUARDED_BY(mutex_) = false;
  unsigned speaking_ GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::uint64_t, Parked> parked_ GUARDED_BY(mutex_);
};

// An answer on its way: early, when it comes before the handler has returned, or parked.
template <class T>
class Pending {
 public:
  // The number that the request is parked under when it is time to send; 0: kept as early.
  std::uint64_t arrive(Result<T>& result) {
    Lock lock(mutex_);
    if (number_ == 0) early_ = std::move(result);
    return number_;
  }
  // The early answer, if it has come; otherwise the request is parked from now on.
  std::optional<Result<T>> park(std::uint64_t number) {
    Lock lock(mutex_);
    if (!early_) number_ = number;
    return std::exchange(early_, std::nullopt);
  }

 private:
  Mutex<Rank::queue> mutex_;
  std::optional<Result<T>> early_ GUARDED_BY(mutex_);
  std::uint64_t number_ GUARDED_BY(mutex_) = 0;
};

// Runs `begin` with a completion; answers with `send` either here, when the completion was done at
// once (the usual case: nothing is registered), or later as a parked request.
template <class T, class Begin>
void answer(fuse_req_t request, const std::shared_ptr<ParkedRequests>& parked, Begin&& begin,
            std::function<void(fuse_req_t, Result<T>)> send) {
  auto pending = std::make_shared<Pending<T>>();
  const Completion<T> done([pending, request, parked, send](Result<T> result) {
    const std::uint64_t number = pending->arrive(result);
    if (number != 0) parked->finish(number, [&] { send(request, std::move(result)); });
  });
  begin(done);
  if (auto early = pending->park(0)) return send(request, *std::move(early));
  // An interrupt that is waiting already cancels at once, so the answer may come within add().
  const std::uint64_t number = parked->add(request, [done] { done.cancel(); });
  if (number == 0) {
    reply_error(request, parked->refusal());
    return done.cancel();
  }
  if (auto early = pending->park(number)) {
    parked->finish(number, [&] { send(request, *std::move(early)); });
  }
}

}  // namespace agentfs::fuse
