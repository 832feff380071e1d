// SPDX-License-Identifier: MIT
#include <poll.h>

#include <algorithm>

#include "fs/vfs/stream_node.h"

namespace agentfs::vfs {

Result<Bytes> WaitHandle::part(const Result<std::string>& answer, const Parked::Read& read) {
  if (!answer) return std::unexpected(answer.error());
  const auto offset = static_cast<std::size_t>(std::max<off_t>(read.offset, 0));
  if (offset >= answer->size()) return Bytes{};
  return Bytes{.text = answer->substr(offset, read.count)};
}

// What its own session wrote must have been delivered, or the wait would end with the run before.
Status WaitHandle::ensure_waiting(Request& request) {
  const ObjectRef object = TRY(place_.held(request.caller()));
  context_->undelivered.deliver(session_of(request), parent_path(place_.path));
  Completion<std::string> waiting;
  {
    Lock lock(mutex_);
    if (waiting_ || answer_ || closed_) return ok();
    const std::uint64_t round = ++round_;
    waiting = Completion<std::string>([weak = weak_from_this(), round](Result<std::string> answer) {
      if (const auto self = weak.lock()) self->answered(round, std::move(answer));
    });
    waiting_ = waiting;
  }
  place_.type->wait(place_.row, object, request.caller(), waiting);
  return ok();
}

void WaitHandle::read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) {
  if (const Status waiting = ensure_waiting(request); !waiting) {
    return done.complete(std::unexpected(waiting.error()));
  }
  const Parked::Read read{count, offset, done};
  std::optional<Result<Bytes>> now;
  {
    Lock lock(mutex_);
    if (closed_) {
      now = fail(EINTR, "{}: closed", place_.path);  // the release came first
    } else if (answer_) {
      now = part(*answer_, read);
    } else if (!request.may_block()) {
      now = fail(EAGAIN, "{}: no answer yet", place_.path);
    } else {
      parked_.reads.push_back(read);
    }
  }
  if (now) return done.complete(*std::move(now));
  done.on_cancel([weak = weak_from_this(), done] {
    if (const auto self = weak.lock()) self->interrupt(done);
    done.complete(fail(EINTR, "wait: interrupted"));
  });
}

void WaitHandle::answered(std::uint64_t round, Result<std::string> answer) {
  Parked parked;
  {
    Lock lock(mutex_);
    if (!waiting_ || round != round_) return;  // given up meanwhile
    answer_ = answer;
    parked = std::exchange(parked_, {});
  }
  for (const Parked::Read& read : parked.reads) read.done.complete(part(answer, read));
  if (parked.ready) parked.ready();
}

// Reads that were answered are told apart by being answered: `done` itself is about to be.
void WaitHandle::interrupt(const Completion<Bytes>& read) {
  read.complete(fail(EINTR, "{}: interrupted", place_.path));
  Completion<std::string> abandoned;
  {
    Lock lock(mutex_);
    std::erase_if(parked_.reads, [](const Parked::Read& r) { return r.done.answered(); });
    if (parked_.reads.empty() && !parked_.ready && !answer_)
      abandoned = std::exchange(waiting_, {});
  }
  if (abandoned) abandoned.cancel();
}

Result<unsigned> WaitHandle::poll(Request& request, std::move_only_function<void()> ready) {
  TRY(ensure_waiting(request));
  std::move_only_function<void()> dropped;
  Lock lock(mutex_);
  if (answer_) return static_cast<unsigned>(POLLIN | POLLRDNORM);
  if (ready) dropped = std::exchange(parked_.ready, std::move(ready));
  return 0U;
}

void WaitHandle::release() {
  Completion<std::string> abandoned;
  Parked parked;
  {
    Lock lock(mutex_);
    closed_ = true;
    abandoned = std::exchange(waiting_, {});
    parked = std::exchange(parked_, {});
  }
  if (abandoned) abandoned.cancel();
  for (const Parked::Read& read : parked.reads) {
    read.done.complete(fail(EINTR, "{}: closed", place_.path));
  }
}

}  // namespace agentfs::vfs
