// SPDX-License-Identifier: MIT
#include "backends/git/commit_process.h"

#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "backends/git/commit_child.h"
#include "backends/git/message.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/text.h"

namespace agentfs {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kWaiting = 2;  // processes

std::int64_t nanoseconds(milliseconds span) { return std::chrono::nanoseconds(span).count(); }

// The last line; the others are told to the log.
std::string_view answer_in(std::string_view output) {
  const auto lines = text::lines(output);
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) log::warning("{}", text::to_utf8(lines[i]));
  return lines.empty() || !output.ends_with('\n') ? std::string_view() : lines.back();
}

}  // namespace

CommitProcess::CommitProcess(const Clock& clock, std::string program, CommitLimits limits)
    : clock_(clock),
      program_(std::move(program)),
      limits_(limits),
      // Locks of the second that it begins in are nobody's.
      started_(clock.wall() / kNanoseconds + 1),
      stopped_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (limits_.in_advance) keeper_ = std::thread([this] { keep_some_waiting(); });
}

CommitProcess::~CommitProcess() {
  stop();
  if (keeper_.joinable()) keeper_.join();
}

void CommitProcess::stop() {
  std::deque<std::unique_ptr<git::CommitChild>> waiting;
  {
    Lock lock(mutex_);
    stopping_ = true;
    waiting.swap(waiting_);
  }
  changed_.notify_all();
  const std::uint64_t one = 1;
  if (::write(stopped_.get(), &one, sizeof one) < 0) log::warning("git: eventfd: {}", errno);
}

Result<std::string> CommitProcess::commit(const TurnCommit& commit) {
  const std::int64_t locks_from = TRY(enter(commit.worktree));
  bool cut_short = false;
  Result<std::string> made = run(commit, locks_from, cut_short);
  const std::int64_t rest = leave(commit.worktree, cut_short);
  want_more();
  if (rest != 0 && !made) {
    made.error().message += fmt::format("; it is tried again in {} s", rest / kNanoseconds);
  }
  return made;
}

// The second before which a ref's lock is nobody's.
Result<std::int64_t> CommitProcess::enter(const std::string& worktree) {
  Lock lock(mutex_);
  const auto place = places_.find(worktree);
  const std::int64_t left =
      place == places_.end() ? 0 : place->second.rests_until - clock_.steady();
  if (left > 0) {
    return fail(
        EAGAIN,
        "git: no commit of {}: the last one was ended unfinished; the next is tried in {} s",
        worktree, left / kNanoseconds + 1);
  }
  const auto until = std::chrono::steady_clock::now() + limits_.patience;
  while (!stopping_ && running_ >= limits_.at_once) {
    if (changed_.wait_until(lock, until) == std::cv_status::timeout) break;
  }
  if (stopping_) return fail(EINTR, "git: the daemon is ending; nothing was committed");
  if (running_ >= limits_.at_once) {
    return fail(EBUSY,
                "git: {} commits are under way and take long; a later turn has these changes",
                running_);
  }
  ++running_;
  const auto known = places_.find(worktree);
  return known == places_.end() ? started_ : known->second.locks_from;
}

// For how long the worktree rests now.
std::int64_t CommitProcess::leave(const std::string& worktree, bool cut_short) {
  std::int64_t rest = 0;
  {
    Lock lock(mutex_);
    --running_;
    if (!cut_short) {
      places_.erase(worktree);
    } else {
      Place& place = places_[worktree];
      const int doublings = std::min(place.cut_short++, 16);
      rest =
          std::min(nanoseconds(limits_.first_rest) << doublings, nanoseconds(limits_.longest_rest));
      place.rests_until = clock_.steady() + rest;
      place.locks_from = clock_.wall() / kNanoseconds + 1;
    }
  }
  changed_.notify_all();
  return rest;
}

std::unique_ptr<git::CommitChild> CommitProcess::take_waiting() {
  for (;;) {
    std::unique_ptr<git::CommitChild> oldest;
    {
      Lock lock(mutex_);
      if (waiting_.empty()) return nullptr;
      oldest = std::move(waiting_.front());
      waiting_.pop_front();
    }
    if (oldest->is_alive()) return oldest;
  }
}

void CommitProcess::want_more() {
  {
    Lock lock(mutex_);
    wanted_ = waiting_.size() < kWaiting;
  }
  changed_.notify_all();
}

bool CommitProcess::wait_until_wanted() {
  Lock lock(mutex_);
  while (!stopping_ && !wanted_) changed_.wait(lock);
  return !stopping_;
}

void CommitProcess::keep_some_waiting() {
  while (wait_until_wanted()) {
    // Where that fails, the next commit tells why.
    auto started = git::CommitChild::start(program_);
    Lock lock(mutex_);
    if (started && !stopping_) waiting_.push_back(std::move(*started));
    wanted_ = started && waiting_.size() < kWaiting;
  }
}

Result<std::string> CommitProcess::run(const TurnCommit& commit, std::int64_t locks_from,
                                       bool& cut_short) {
  // Made here, since the process can make nothing beside it; goes again where it was not needed.
  TRY(file::make_directories(commit.git_directory, 0700));
  const std::string order = git::encode(git::Order{commit, locks_from});
  std::unique_ptr<git::CommitChild> child = take_waiting();
  Status served = ok();
  if (child) served = child->serve(order, stopped_.get(), limits_.deadline);
  if (!child || (served && !child->has_begun())) {
    child = TRY(git::CommitChild::start(program_));
    served = child->serve(order, stopped_.get(), limits_.deadline);
  }
  ::rmdir(commit.git_directory.c_str());
  const std::string_view answer = answer_in(child->said());
  if (!served) {
    cut_short = served.error().code == ETIMEDOUT;
    return fail(served.error().code, "git: the commit of {} {}", commit.worktree,
                served.error().message);
  }
  if (child->status().si_code != CLD_EXITED) {
    cut_short = true;
    return fail(EIO, "git: the commit of {} crashed ({})", commit.worktree,
                ::strsignal(child->status().si_status));
  }
  return git::decode_made(answer);
}

}  // namespace agentfs
