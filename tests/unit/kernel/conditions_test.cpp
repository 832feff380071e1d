// SPDX-License-Identifier: MIT
// What processes of the host want to hold before they publish.
#include "kernel/conditions.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "catch.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

HostCaller process(pid_t pid) {
  HostCaller host;
  host.pid = pid;
  return host;
}

int code_of(const Result<bool>& met) { return met ? 0 : met.error().code; }

// A process of the host that lives until it is ended.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  ~Sleeper() { end(); }
  pid_t pid() const { return pid_; }
  void end() {
    if (ended_) return;
    ended_ = true;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
  bool ended_ = false;
};

TEST_CASE("a condition is used once, and a refusal is said twice where it is asked twice") {
  Conditions conditions;
  std::uint64_t now = 5;
  const auto look = [&] { return now; };
  const HostCaller own = process(::getpid());
  CHECK(code_of(conditions.meet(own, "/home/u/a", {}, look)) == 0);
  CHECK(conditions.set(own, "/home/u/a", {4, 0}, look).error().code == ESTALE);
  REQUIRE(conditions.set(own, "/home/u/a", {5, 0}, look));
  CHECK(*conditions.meet(own, "/home/u/a", {}, look));
  CHECK_FALSE(conditions.any());
  REQUIRE(conditions.set(own, "/home/u/a", {5, 0}, look));
  now = 6;
  CHECK(code_of(conditions.meet(own, "/home/u/a", {}, look)) == ESTALE);
  CHECK(code_of(conditions.meet(own, "/home/u/a", {}, look)) == ESTALE);
  CHECK(code_of(conditions.meet(own, "/home/u/a", {}, look)) == 0);
  REQUIRE(conditions.set(own, "/home/u/a", {6, 0}, look));
  CHECK(code_of(conditions.meet(own, "/home/u/a", {.exists = false, .is_asked_again = false},
                                look)) == ESTALE);
  CHECK(code_of(conditions.meet(own, "/home/u/a", {}, look)) == 0);
}

TEST_CASE("of two with the same condition one publishes, and its end or failure lets the other") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  const HostCaller own = process(::getpid());
  Sleeper one;
  Sleeper two;
  const std::string path = "/home/u/a";
  REQUIRE(conditions.set(own, path, {5, 0}, look));
  REQUIRE(conditions.set(process(one.pid()), path, {5, 0}, look));
  REQUIRE(conditions.set(process(two.pid()), path, {5, 0}, look));
  CHECK(*conditions.meet(process(one.pid()), path, {}, look));
  CHECK(code_of(conditions.meet(own, path, {.is_asked_again = false}, look)) == ESTALE);
  CHECK(conditions.set(own, path, {5, 0}, look).error().code == ESTALE);
  CHECK_FALSE(conditions.awaits(process(one.pid()), path));
  conditions.release(process(one.pid()), path);
  CHECK(conditions.awaits(process(one.pid()), path));  // nothing has been published
  CHECK(*conditions.meet(process(two.pid()), path, {}, look));
  CHECK(conditions.set(own, path, {5, 0}, look).error().code == ESTALE);
  two.end();
  REQUIRE(conditions.set(own, path, {5, 0}, look));
  CHECK(*conditions.meet(own, path, {}, look));
}

// The first to publish used up the one condition of all, and the others had none.
TEST_CASE("of threads that publish at once each has its own condition, and its last alone") {
  Conditions conditions;
  std::uint64_t now = 5;
  const auto look = [&] { return now; };
  const std::string path = "/home/u/a";
  const HostCaller own = process(::getpid());
  for (const pid_t thread : {1, 1, 2}) REQUIRE(conditions.set(own, path, {5, thread}, look));
  CHECK(*conditions.meet(own, path, {.thread = 1}, look));
  now = 6;
  REQUIRE(conditions.set(own, path, {6, 1}, look));
  for (int i = 0; i < 2; ++i) {
    CHECK(code_of(conditions.meet(own, path, {.thread = 2}, look)) == ESTALE);
  }
  CHECK(*conditions.meet(own, path, {.thread = 3}, look));  // the pool's
  CHECK_FALSE(conditions.awaits(own, path));
}

// Who came between the cut and the bytes had its own written over.
TEST_CASE("who has cut a file on a condition has it until it is written") {
  Conditions conditions;
  std::uint64_t now = 5;
  const auto look = [&] { return now; };
  const std::string path = "/home/u/a";
  const HostCaller own = process(::getpid());
  Sleeper other;
  REQUIRE(conditions.set(own, path, {5, 0}, look));
  CHECK(*conditions.meet(own, path, {.goes_on = true}, look));
  now = 6;
  CHECK(conditions.set(process(other.pid()), path, {6, 0}, look).error().code == ESTALE);
  REQUIRE(conditions.set(own, path, {6, 0}, look));
  conditions.end(process(other.pid()), path);
  CHECK(conditions.set(process(other.pid()), path, {6, 0}, look).error().code == ESTALE);
  conditions.end(own, path);
  CHECK(conditions.set(process(other.pid()), path, {6, 0}, look));
}

TEST_CASE("conditions go along with a directory") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  const HostCaller own = process(::getpid());
  REQUIRE(conditions.set(own, "/workspaces/a/d/x", {5, 0}, look));
  REQUIRE(conditions.set(own, "/workspaces/a/dd", {5, 0}, look));
  conditions.follow("/workspaces/a/d", "/workspaces/a/e", false);
  CHECK_FALSE(conditions.awaits(own, "/workspaces/a/d/x"));
  CHECK(conditions.awaits(own, "/workspaces/a/e/x"));
  CHECK(conditions.awaits(own, "/workspaces/a/dd"));
  conditions.follow("/workspaces/b", "/workspaces/a", true);
  CHECK(conditions.awaits(own, "/workspaces/b/e/x"));
  CHECK(conditions.awaits(own, "/workspaces/b/dd"));
}

TEST_CASE("conditions of processes that have ended make room") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  Sleeper other;
  for (std::size_t i = 0; i < Conditions::kMost; ++i) {
    REQUIRE(conditions.set(process(other.pid()), fmt::format("/home/u/{}", i), {5, 0}, look));
  }
  const HostCaller own = process(::getpid());
  CHECK(conditions.set(own, "/home/u/a", {5, 0}, look).error().code == EAGAIN);
  other.end();
  CHECK(conditions.set(own, "/home/u/a", {5, 0}, look));
}

}  // namespace
}  // namespace agentfs::test
