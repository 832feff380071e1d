// SPDX-License-Identifier: MIT
// Who a thread id of the host stands for.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <thread>

#include "catch.h"
#include "fs/fuse/host_caller.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

// A process that leads a session of its own, with a child; both end when told, or with the test.
class LoginSession {
 public:
  LoginSession() {
    REQUIRE(::pipe(pipe_.data()) == 0);
    leader_ = ::fork();
    if (leader_ == 0) lead();
    REQUIRE(leader_ > 0);
    REQUIRE(::read(pipe_[0], &child_, sizeof child_) == static_cast<ssize_t>(sizeof child_));
  }
  ~LoginSession() {
    end_leader();
    ::kill(child_, SIGKILL);
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  LoginSession(const LoginSession&) = delete;
  LoginSession& operator=(const LoginSession&) = delete;
  pid_t leader() const { return leader_; }
  pid_t child() const { return child_; }
  void end_leader() {
    if (std::exchange(ended_, true)) return;
    ::kill(leader_, SIGKILL);
    ::waitpid(leader_, nullptr, 0);
  }

 private:
  // Only what is safe after a fork of a program with threads.
  [[noreturn]] void lead() {
    ::setsid();
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) ::pause();
    }
    [[maybe_unused]] const auto told = ::write(pipe_[1], &child, sizeof child);
    for (;;) ::pause();
  }

  std::array<int, 2> pipe_{-1, -1};
  pid_t leader_ = 0;
  pid_t child_ = 0;
  bool ended_ = false;
};

}  // namespace

TEST_CASE("wire: a thread is its process, in its session and namespace") {
  fuse::CallerResolver resolver;
  const HostCaller self = resolver.resolve(::getpid(), 12, 34);
  CHECK(self.pid == ::getpid());
  CHECK(self.uid == 12);
  CHECK(self.gid == 34);
  CHECK_FALSE(self.command.empty());
  CHECK_FALSE(self.session.empty());
  CHECK(self.pid_namespace != 0);
  HostCaller other;
  std::thread([&] { other = resolver.resolve(::gettid(), 12, 34); }).join();
  CHECK(other.pid == ::getpid());
  CHECK(other.session == self.session);
}

TEST_CASE("wire: a number's next owner is not taken for the one before") {
  fuse::CallerResolver resolver;
  const auto begin = [](const char* name, bool leads) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child > 0) return child;
    if (leads) ::setsid();
    ::prctl(PR_SET_NAME, name);
    for (;;) ::pause();
  };
  const auto end = [](pid_t child) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  };
  // A child names and moves itself after the fork, so both are waited for.
  const auto resolved = [&](pid_t child, std::string_view name) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    HostCaller found;
    while (found.command != name && std::chrono::steady_clock::now() < deadline) {
      found = resolver.resolve(child, 0, 0);
    }
    CHECK(found.command == name);
    return found;
  };
  const pid_t first = begin("the-first", false);
  const HostCaller before = resolved(first, "the-first");
  end(first);
  CHECK(resolver.resolve(first, 0, 0).command.empty());
  // Others may be quicker to get the number.
  pid_t second = 0;
  for (int i = 0; i < 200 && second != first; ++i) {
    if (second != 0) end(second);
    if (std::ofstream last("/proc/sys/kernel/ns_last_pid"); !(last << first - 1).flush()) break;
    second = begin("the-second", true);
  }
  if (second != first) {
    if (second != 0) end(second);
    WARN("SKIPPED: a process number cannot be chosen here");
    return;
  }
  const HostCaller after = resolved(second, "the-second");
  CHECK(after.pid == before.pid);
  CHECK(after.session != before.session);
  end(second);
}

TEST_CASE("wire: who has gone is known by user and group alone") {
  fuse::CallerResolver resolver;
  pid_t gone = 0;
  {
    const Bystander process;
    gone = process.pid();
    CHECK(resolver.resolve(gone, 1, 1).pid == gone);
  }
  for (const pid_t pid : {gone, pid_t{0}, pid_t{-1}}) {
    const HostCaller nobody = resolver.resolve(pid, 1, 2);
    CHECK(nobody.pid == 0);
    CHECK(nobody.uid == 1);
    CHECK(nobody.session == "uid.1");
  }
}

TEST_CASE("wire: a login session is one, and stays the same when its leader ends") {
  fuse::CallerResolver resolver;
  LoginSession login;
  const std::string session = resolver.resolve(login.leader(), 0, 0).session;
  CHECK(session != resolver.resolve(::getpid(), 0, 0).session);
  login.end_leader();
  CHECK(resolver.resolve(login.child(), 0, 0).session == session);
}

TEST_CASE("wire: what a child of the daemon leaves behind comes from it, whatever its session") {
  fuse::CallerResolver resolver;
  const LoginSession child;
  CHECK(resolver.resolve(child.child(), 0, 0).child == 0);  // not asked for
  CHECK(resolver.resolve(child.child(), 0, 0, true).child == child.leader());
  CHECK(resolver.resolve(child.leader(), 0, 0, true).child == child.leader());
  CHECK(resolver.resolve(::getpid(), 0, 0, true).child == 0);
  CHECK(resolver.resolve(::getppid(), 0, 0, true).child == 0);
}

TEST_CASE("wire: two login sessions are two") {
  fuse::CallerResolver resolver;
  const LoginSession first;
  const LoginSession second;
  const auto session = [&](pid_t pid) { return resolver.resolve(pid, 0, 0).session; };
  CHECK(session(first.child()) == session(first.leader()));
  CHECK(session(first.child()) != session(second.child()));
}

TEST_CASE("wire: an unseen process asks, and is nobody in particular") {
  Served served;
  served.wire().caller.pid = 0;
  CHECK(served.read_all("/value") == "first\n");
  const auto place = served.open("/ctl", O_WRONLY);
  CHECK(code_of(served.wire().write(place, "say hello\n")) == 0);
}

}  // namespace agentfs::test
