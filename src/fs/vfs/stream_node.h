// SPDX-License-Identifier: MIT
// Files that block: `wait` gives one answer, `follow` what comes as it comes. Unlisted.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "fs/vfs/row_file.h"

namespace agentfs::vfs {

// Kinds wait and follow. One object a path. Threads: all.
class StreamNode final : public Node {
 public:
  StreamNode(ContextRef context, RowPlace place)
      : context_(std::move(context)), place_(std::move(place)) {}
  ~StreamNode() override { context_->interned.forget(place_.path); }

  mode_t type() const override { return S_IFREG; }
  std::string path() const override { return place_.path; }
  Result<Attributes> attributes(Request&) override;
  Result<Opened> open(Request& request, int flags) override;

 private:
  ContextRef context_;
  RowPlace place_;
};

// Reads that wait for bytes, and who polls for them. Its owner locks; what it hands out is called
// after the lock.
struct Parked {
  struct Read {
    std::size_t count = 0;
    off_t offset = 0;
    Completion<Bytes> done;
    std::uint64_t number = 0;
  };
  std::deque<Read> reads;
  std::move_only_function<void()> ready;
};

// An open of a wait file: waits anew, once. Threads: all.
class WaitHandle final : public Handle, public std::enable_shared_from_this<WaitHandle> {
 public:
  WaitHandle(ContextRef context, RowPlace place)
      : context_(std::move(context)), place_(std::move(place)) {}
  ~WaitHandle() override { release(); }
  void read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) override;
  Result<unsigned> poll(Request& request, std::move_only_function<void()> ready) override;
  void release() override;

 private:
  Status ensure_waiting(Request& request);
  void answered(std::uint64_t round, Result<std::string> answer);
  void interrupt(const Completion<Bytes>& read);
  static Result<Bytes> part(const Result<std::string>& answer, const Parked::Read& read);

  const ContextRef context_;
  const RowPlace place_;
  Mutex<Rank::handle> mutex_;
  Completion<std::string> waiting_ GUARDED_BY(mutex_);
  std::uint64_t round_ GUARDED_BY(mutex_) = 0;  // of waiting_: an abandoned one answers too
  std::optional<Result<std::string>> answer_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  Parked parked_ GUARDED_BY(mutex_);
};

// An open of a follow file: what its source pushed since the open, at most 1 MiB of it unread.
// Threads: all.
class FollowHandle final : public Handle, public std::enable_shared_from_this<FollowHandle> {
 public:
  static constexpr std::size_t kUnread = 1U << 20U;
  FollowHandle(ContextRef context, RowPlace place)
      : context_(std::move(context)), place_(std::move(place)) {}
  ~FollowHandle() override { release(); }
  Status subscribe(Request& request);
  void read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) override;
  Result<unsigned> poll(Request& request, std::move_only_function<void()> ready) override;
  void release() override;

 private:
  void push(std::string_view text, bool end);
  void append(std::string_view text) REQUIRES(mutex_);
  bool has_something() const REQUIRES(mutex_);
  Bytes take(std::size_t count) REQUIRES(mutex_);
  // How much of what is unread belongs to a line that the reader has the beginning of.
  std::size_t rest_of_line() const REQUIRES(mutex_);
  bool stop(std::uint64_t read);  // false: it is parked no more

  const ContextRef context_;
  const RowPlace place_;
  Mutex<Rank::handle> mutex_;
  std::string unread_ GUARDED_BY(mutex_);
  std::size_t dropped_ GUARDED_BY(mutex_) = 0;
  bool is_within_line_ GUARDED_BY(mutex_) = false;  // what was read last
  bool ended_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
  Unsubscribe unsubscribe_ GUARDED_BY(mutex_);
  Parked parked_ GUARDED_BY(mutex_);
  std::uint64_t last_read_ GUARDED_BY(mutex_) = 0;
};

}  // namespace agentfs::vfs
