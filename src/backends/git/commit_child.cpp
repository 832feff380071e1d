// SPDX-License-Identifier: MIT
#include "backends/git/commit_child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/clock.h"

namespace agentfs::git {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMostOutput = std::size_t{64} << 10;

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

bool has_byte(int fd) {
  char byte = 0;
  return ::recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

}  // namespace

Result<std::unique_ptr<CommitChild>> CommitChild::start(const std::string& program) {
  std::unique_ptr<CommitChild> child(new CommitChild);
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return fail_errno("socketpair");
  }
  child->input_.reset(sockets[0]);
  const UniqueFd order = TRY(out_of_the_way(UniqueFd(sockets[1])));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
  child->output_.reset(ends[0]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const UniqueFd theirs = TRY(out_of_the_way(UniqueFd(ends[1])));
  child->spawned_ = TRY(spawn(
      {program, std::to_string(::getpid())},
      {{order.get(), STDIN_FILENO}, {theirs.get(), STDOUT_FILENO}, {theirs.get(), STDERR_FILENO}}));
  return child;
}

CommitChild::~CommitChild() { kill(); }

bool CommitChild::is_alive() const {
  pollfd process{.fd = spawned_.process.get(), .events = POLLIN, .revents = 0};
  return !ended_ && ::poll(&process, 1, 0) == 0;
}

Status CommitChild::serve(std::string_view order, int stopped, milliseconds deadline) {
  Status followed = follow(order, stopped, deadline);
  kill();
  begun_ = has_byte(input_.get());
  return followed;
}

Status CommitChild::follow(std::string_view order, int stopped, milliseconds deadline) {
  // Not the daemon's clock: a test's stands still.
  const std::int64_t until = SystemClock{}.steady() + std::chrono::nanoseconds(deadline).count();
  std::array<pollfd, 4> waiting{
      {{.fd = spawned_.process.get(), .events = POLLIN, .revents = 0},
       {.fd = stopped, .events = POLLIN, .revents = 0},
       {.fd = output_.get(), .events = POLLIN, .revents = 0},
       {.fd = give(order) ? input_.get() : -1, .events = POLLOUT, .revents = 0}}};
  while (waiting[0].revents == 0) {
    const std::int64_t left = until - SystemClock{}.steady();
    if (left <= 0) {
      return fail(ETIMEDOUT, "took longer than {} s and was ended",
                  std::chrono::duration<double>(deadline).count());
    }
    const auto timeout = static_cast<int>(left / 1'000'000) + 1;
    if (::poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR) {
      return fail_errno("poll");
    }
    if (waiting[1].revents != 0) return fail(EINTR, "was ended: the daemon is ending");
    if (waiting[3].revents != 0 && !give(order)) waiting[3].fd = -1;
    // Also what came just before the end. Nobody else holds the other end for long.
    if (!take_output(output_.get(), said_)) waiting[2].fd = -1;
  }
  reap();
  return ok();
}

bool CommitChild::give(std::string_view& order) {
  while (!order.empty()) {
    const ssize_t put =
        ::send(input_.get(), order.data(), order.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno == EAGAIN;  // else it has ended, which is seen by its pidfd
    order.remove_prefix(static_cast<std::size_t>(put));
  }
  ::shutdown(input_.get(), SHUT_WR);
  return false;
}

void CommitChild::kill() {
  if (!spawned_.process || ended_) return;
  send_signal(spawned_.process, SIGKILL);
  reap();
}

void CommitChild::reap() {
  while (::waitid(P_PIDFD, static_cast<id_t>(spawned_.process.get()), &status_, WEXITED) != 0 &&
         errno == EINTR) {
  }
  ended_ = true;
}

}  // namespace agentfs::git
