// SPDX-License-Identifier: MIT
#include <poll.h>

#include <algorithm>

#include "fs/vfs/stream_node.h"

namespace agentfs::vfs {

Status FollowHandle::subscribe(Request& request) {
  const ObjectRef object = TRY(place_.held(request.caller()));
  auto sink = [weak = weak_from_this()](std::string_view text, bool end) {
    if (const auto self = weak.lock()) self->push(text, end);
  };
  Unsubscribe unsubscribe =
      TRY(place_.type->follow(place_.row, object, request.caller(), std::move(sink)));
  Lock lock(mutex_);
  unsubscribe_ = std::move(unsubscribe);
  return ok();
}

bool FollowHandle::has_something() const { return !unread_.empty() || dropped_ > 0 || ended_; }

std::size_t FollowHandle::rest_of_line() const {
  const std::size_t end = is_within_line_ ? unread_.find('\n') : std::string::npos;
  return end < kUnread ? end + 1 : 0;
}

// Whole lines go, where there are lines, so that what is left begins at one.
void FollowHandle::append(std::string_view text) {
  unread_ += text;
  if (unread_.size() <= kUnread) return;
  const std::size_t first = rest_of_line();
  std::size_t cut = std::min(first + unread_.size() - kUnread, unread_.size());
  if (const std::size_t line = unread_.find('\n', cut); line != std::string::npos) cut = line + 1;
  dropped_ += cut - first;
  unread_.erase(first, cut - first);
}

Bytes FollowHandle::take(std::size_t count) {
  if (dropped_ > 0) {
    unread_.insert(rest_of_line(),
                   fmt::format("# {} bytes were dropped here: the reader was too slow\n",
                               std::exchange(dropped_, 0)));
  }
  Bytes bytes{.text = unread_.substr(0, count)};
  unread_.erase(0, bytes.text.size());
  if (!bytes.text.empty()) is_within_line_ = bytes.text.back() != '\n';
  return bytes;
}

void FollowHandle::push(std::string_view text, bool end) {
  std::vector<std::pair<Completion<Bytes>, Bytes>> answers;
  std::move_only_function<void()> ready;
  {
    Lock lock(mutex_);
    append(text);
    ended_ = ended_ || end;
    while (!parked_.reads.empty() && has_something()) {
      const Parked::Read read = std::move(parked_.reads.front());
      parked_.reads.pop_front();
      if (!read.done.answered()) answers.emplace_back(read.done, take(read.count));
    }
    ready = std::exchange(parked_.ready, nullptr);
  }
  for (auto& [done, bytes] : answers) done.complete(std::move(bytes));
  if (ready) ready();
}

void FollowHandle::read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) {
  std::optional<Result<Bytes>> now;
  std::uint64_t number = 0;
  {
    Lock lock(mutex_);
    number = ++last_read_;
    if (closed_) {
      now = fail(EINTR, "{}: closed", place_.path);  // the release came first
    } else if (has_something()) {
      now = take(count);
    } else if (!request.may_block()) {
      now = fail(EAGAIN, "{}: nothing new yet", place_.path);
    } else {
      parked_.reads.push_back({count, offset, done, number});
    }
  }
  if (now) return done.complete(*std::move(now));
  done.on_cancel([weak = weak_from_this(), done, number] {
    const auto self = weak.lock();
    if (self == nullptr || self->stop(number)) done.complete(fail(EINTR, "follow: interrupted"));
  });
}

// One that is parked no more has been given bytes, which nobody else gets: it is about to be
// answered with them.
bool FollowHandle::stop(std::uint64_t read) {
  Lock lock(mutex_);
  return std::erase_if(parked_.reads, [&](const auto& one) { return one.number == read; }) != 0;
}

Result<unsigned> FollowHandle::poll(Request&, std::move_only_function<void()> ready) {
  std::move_only_function<void()> dropped;
  Lock lock(mutex_);
  if (has_something()) return static_cast<unsigned>(POLLIN | POLLRDNORM);
  if (ready) dropped = std::exchange(parked_.ready, std::move(ready));
  return 0U;
}

void FollowHandle::release() {
  Unsubscribe unsubscribe;
  Parked parked;
  {
    Lock lock(mutex_);
    closed_ = true;
    unsubscribe = std::exchange(unsubscribe_, nullptr);
    parked = std::exchange(parked_, {});
  }
  if (unsubscribe) unsubscribe();
  for (const Parked::Read& read : parked.reads) {
    read.done.complete(fail(EINTR, "{}: closed", place_.path));
  }
}

}  // namespace agentfs::vfs
