// SPDX-License-Identifier: MIT
// Answers to the host's kernel: the only place that turns an Error into an errno, and the one that
// sees to it that each request is answered exactly once.
#pragma once

#include <fuse_lowlevel.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/completion.h"
#include "base/event_loop.h"
#include "fs/vfs/file_system.h"

namespace agentfs::fuse {

void reply_error(fuse_req_t request, const Error& error);
void reply_status(fuse_req_t request, const Status& status);
void reply_bytes(fuse_req_t request, const vfs::Bytes& bytes);
fuse_entry_param entry_of(const vfs::Found& found, std::uint64_t id);
void set_open_flags(const vfs::OpenFlags& flags, fuse_file_info& info);

// Requests that were not answered when their handler returned. An interrupt cancels one; at the end
// of the session the rest are cancelled and their late answers dropped. Threads: all.
class ParkedRequests {
 public:
  explicit ParkedRequests(EventLoop& loop) : loop_(loop) {}
  // Registers a cancel for the request's interrupt; false when the session has ended.
  std::uint64_t add(fuse_req_t request, std::function<void()> cancel);
  // True if it was still there: the caller may answer the request, and nobody else will.
  bool take(std::uint64_t number);
  void end();  // no request may be answered any more

 private:
  static void interrupted(fuse_req_t request, void* data);
  void cancel(std::uint64_t number);

  EventLoop& loop_;
  Mutex<Rank::queue> mutex_;
  std::uint64_t next_ GUARDED_BY(mutex_) = 1;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::unordered_map<std::uint64_t, std::function<void()>> cancels_ GUARDED_BY(mutex_);
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
void answer(fuse_req_t request, ParkedRequests& parked, Begin&& begin,
            std::function<void(fuse_req_t, Result<T>)> send) {
  auto pending = std::make_shared<Pending<T>>();
  const Completion<T> done([pending, request, &parked, send](Result<T> result) {
    const std::uint64_t number = pending->arrive(result);
    if (number != 0 && parked.take(number)) send(request, std::move(result));
  });
  begin(done);
  if (auto early = pending->park(0)) return send(request, *std::move(early));
  // An interrupt that is waiting already cancels at once, so the answer may come within add().
  const std::uint64_t number = parked.add(request, [done] { done.cancel(); });
  if (auto early = pending->park(number); early && parked.take(number)) {
    send(request, *std::move(early));
  }
}

}  // namespace agentfs::fuse
