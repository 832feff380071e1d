// SPDX-License-Identifier: MIT
#include "backends/git/commit_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "backends/git/message.h"
#include "base/log.h"
#include "base/spawn.h"
#include "base/text.h"

namespace agentfs {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kMostOutput = std::size_t{64} << 10;

std::int64_t nanoseconds(milliseconds span) { return std::chrono::nanoseconds(span).count(); }

Result<UniqueFd> in_memory(std::string_view bytes) {
  UniqueFd fd(::memfd_create("agentfs-commit", MFD_CLOEXEC));
  if (!fd) return fail_errno("memfd_create");
  TRY(file::write_all(fd.get(), bytes));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail_errno("memfd");
  return out_of_the_way(std::move(fd));
}

// Appends what there is; the front goes where it gets too much. False at the end.
bool take_output(int fd, std::string& output) {
  std::array<char, 4096> chunk{};
  for (;;) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 && errno == EAGAIN;
    output.append(chunk.data(), static_cast<std::size_t>(got));
    if (output.size() > kMostOutput) output.erase(0, output.size() - kMostOutput);
  }
}

// The last line; the others are told to the log.
std::string_view answer_in(std::string_view output) {
  const auto lines = text::lines(output);
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) log::warning("{}", text::to_utf8(lines[i]));
  return lines.empty() || !output.ends_with('\n') ? std::string_view() : lines.back();
}

}  // namespace

// The process and our ends; reaped where this ends.
struct CommitProcess::Running {
  Spawned spawned;
  UniqueFd output;
  std::string said;
  bool ended = false;
  bool cut_short = false;  // at the deadline, or by a crash
  siginfo_t status{};

  Running() = default;
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { kill(); }
  void kill() {
    if (!spawned.process || ended) return;
    send_signal(spawned.process, SIGKILL);
    reap();
  }
  void reap() {
    while (::waitid(P_PIDFD, static_cast<id_t>(spawned.process.get()), &status, WEXITED) != 0 &&
           errno == EINTR) {
    }
    ended = true;
  }
};

CommitProcess::CommitProcess(const Clock& clock, std::string program, CommitLimits limits)
    : clock_(clock),
      program_(std::move(program)),
      limits_(limits),
      started_(clock.wall() / kSecond),
      stopped_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

CommitProcess::~CommitProcess() { stop(); }

void CommitProcess::stop() {
  {
    Lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  const std::uint64_t one = 1;
  if (::write(stopped_.get(), &one, sizeof one) < 0) log::warning("git: eventfd: {}", errno);
}

Result<std::string> CommitProcess::commit(const TurnCommit& commit) {
  const std::int64_t locks_from = TRY(enter(commit.worktree));
  Running running;
  Result<std::string> made = run(commit, locks_from, running);
  const std::int64_t rest = leave(commit.worktree, running.cut_short);
  if (rest != 0 && !made) {
    made.error().message += fmt::format("; it is tried again in {} s", rest / kSecond);
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
        worktree, left / kSecond + 1);
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
      place.locks_from = clock_.wall() / kSecond + 1;
    }
  }
  changed_.notify_all();
  return rest;
}

Result<std::string> CommitProcess::run(const TurnCommit& commit, std::int64_t locks_from,
                                       Running& running) {
  // Made here, since the process can make nothing beside it; goes again where it was not needed.
  TRY(file::make_directories(commit.git_directory, 0700));
  const UniqueFd order = TRY(in_memory(git::encode(git::Order{commit, locks_from})));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
  running.output.reset(ends[0]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  UniqueFd theirs = TRY(out_of_the_way(UniqueFd(ends[1])));
  running.spawned = TRY(spawn(
      {program_, std::to_string(::getpid())},
      {{order.get(), STDIN_FILENO}, {theirs.get(), STDOUT_FILENO}, {theirs.get(), STDERR_FILENO}}));
  theirs.reset();
  const Status followed = follow(running);
  running.kill();
  ::rmdir(commit.git_directory.c_str());
  const std::string_view answer = answer_in(running.said);
  if (!followed) {
    running.cut_short = followed.error().code == ETIMEDOUT;
    return fail(followed.error().code, "git: the commit of {} {}", commit.worktree,
                followed.error().message);
  }
  if (running.status.si_code != CLD_EXITED) {
    running.cut_short = true;
    return fail(EIO, "git: the commit of {} crashed ({})", commit.worktree,
                ::strsignal(running.status.si_status));
  }
  return git::decode_made(answer);
}

Status CommitProcess::follow(Running& running) const {
  // Not clock_: a test's clock stands still.
  const std::int64_t until = SystemClock{}.steady() + nanoseconds(limits_.deadline);
  std::array<pollfd, 3> waiting{
      {{.fd = running.spawned.process.get(), .events = POLLIN, .revents = 0},
       {.fd = stopped_.get(), .events = POLLIN, .revents = 0},
       {.fd = running.output.get(), .events = POLLIN, .revents = 0}}};
  while (waiting[0].revents == 0) {
    const std::int64_t left = until - SystemClock{}.steady();
    if (left <= 0) {
      return fail(ETIMEDOUT, "took longer than {} s and was ended",
                  std::chrono::duration<double>(limits_.deadline).count());
    }
    const auto timeout = static_cast<int>(left / 1'000'000) + 1;
    if (::poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR) {
      return fail_errno("poll");
    }
    if (waiting[1].revents != 0) return fail(EINTR, "was ended: the daemon is ending");
    // Also what came just before the end. Nobody else holds the other end for long.
    if (!take_output(running.output.get(), running.said)) waiting[2].fd = -1;
  }
  running.reap();
  return ok();
}

}  // namespace agentfs
