// SPDX-License-Identifier: MIT
// What processes of the host want to hold before they publish.
#include "kernel/conditions.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <semaphore>
#include <thread>

#include "catch.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

HostCaller process(pid_t pid) {
  HostCaller host;
  host.pid = pid;
  return host;
}

int code_of(const Result<ClaimNumber>& met) { return met ? 0 : met.error().code; }
bool is_met(const Result<ClaimNumber>& met) { return met && *met != ClaimNumber::none; }

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

// A thread of this process that lives until it is ended.
class Thread {
 public:
  Thread()
      : thread_([this] {
          number_ = ::gettid();
          number_.notify_one();
          end_.acquire();
        }) {
    number_.wait(0);
  }
  ~Thread() { end(); }
  pid_t number() const { return number_; }
  void end() {
    if (!thread_.joinable()) return;
    end_.release();
    thread_.join();
    const std::string known = fmt::format("/proc/self/task/{}", number());
    while (::access(known.c_str(), F_OK) == 0) std::this_thread::yield();  // a moment longer
  }

 private:
  std::atomic<pid_t> number_ = 0;
  std::binary_semaphore end_{0};
  std::thread thread_;
};

// Two threads of this process at one path.
struct ThreadsOfOne {
  Status set(const Thread& thread) {
    return conditions.set(own, path, {now, thread.number()}, [this] { return now; });
  }
  Result<ClaimNumber> meet(pid_t thread, bool goes_on = false) {
    return conditions.meet(own, path, {.goes_on = goes_on, .thread = thread},
                           [this] { return now; });
  }

  Conditions conditions;
  std::uint64_t now = 5;
  const std::string path = "/home/u/a";
  const HostCaller own = process(::getpid());
  Thread one;
  Thread two;
};

TEST_CASE("a condition is used once, and a refusal is said twice where it is asked twice") {
  Conditions conditions;
  std::uint64_t now = 5;
  const auto look = [&] { return now; };
  const HostCaller own = process(::getpid());
  const std::string path = "/home/u/a";
  const Publishing mine{.thread = own.pid};
  const auto meet = [&] { return conditions.meet(own, path, mine, look); };
  CHECK(code_of(meet()) == 0);
  CHECK(conditions.set(own, path, {4, own.pid}, look).error().code == ESTALE);
  REQUIRE(conditions.set(own, path, {5, own.pid}, look));
  CHECK(is_met(meet()));
  CHECK_FALSE(conditions.any());
  REQUIRE(conditions.set(own, path, {5, own.pid}, look));
  now = 6;
  CHECK(code_of(meet()) == ESTALE);
  CHECK(code_of(meet()) == ESTALE);
  CHECK(code_of(meet()) == 0);
  REQUIRE(conditions.set(own, path, {6, own.pid}, look));
  CHECK(code_of(conditions.meet(own, path, {.exists = false, .is_asked_again = false}, look)) ==
        ESTALE);
  CHECK(code_of(meet()) == 0);
}

// As where /proc shows an ordinary user's daemon its own processes only.
TEST_CASE("a condition of who is not known to live is refused, and not dropped later") {
  ThreadsOfOne it;
  const pid_t gone = it.one.number();
  it.one.end();
  const auto look = [&] { return it.now; };
  CHECK(it.conditions.set(it.own, it.path, {it.now, gone}, look).error().code == ENOTSUP);
  CHECK_FALSE(it.conditions.any());
  Sleeper ended;
  ended.end();
  const auto other = process(ended.pid());
  CHECK(it.conditions.set(other, it.path, {it.now, ended.pid()}, look).error().code == ENOTSUP);
}

TEST_CASE("of two with the same condition one publishes, and its end or failure lets the other") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  const HostCaller own = process(::getpid());
  Sleeper one;
  Sleeper two;
  const std::string path = "/home/u/a";
  const auto set = [&](pid_t pid) { return conditions.set(process(pid), path, {5, pid}, look); };
  const auto meet = [&](pid_t pid) {
    return conditions.meet(process(pid), path, {.is_asked_again = false, .thread = pid}, look);
  };
  for (const pid_t pid : {own.pid, one.pid(), two.pid()}) REQUIRE(set(pid));
  const auto claim = meet(one.pid());
  REQUIRE(is_met(claim));
  CHECK(code_of(meet(own.pid)) == ESTALE);
  CHECK(set(own.pid).error().code == ESTALE);
  CHECK_FALSE(conditions.awaits(process(one.pid()), path));
  conditions.release(*claim);
  CHECK(conditions.awaits(process(one.pid()), path));  // nothing has been published
  CHECK(is_met(meet(two.pid())));
  CHECK(set(own.pid).error().code == ESTALE);
  two.end();
  REQUIRE(set(own.pid));
  CHECK(is_met(meet(own.pid)));
}

// The first to publish used up the one condition of all, and the others had none.
TEST_CASE("of threads that publish at once each has its own condition, and its last alone") {
  ThreadsOfOne t;
  for (const Thread* const thread : {&t.one, &t.one, &t.two}) REQUIRE(t.set(*thread));
  CHECK(is_met(t.meet(t.one.number())));
  t.now = 6;
  REQUIRE(t.set(t.one));
  for (int i = 0; i < 2; ++i) {
    CHECK(code_of(t.meet(t.two.number())) == ESTALE);
  }
  CHECK(is_met(t.meet(t.own.pid)));  // the pool's
  CHECK_FALSE(t.conditions.awaits(t.own, t.path));
}

// Who came between the cut and the bytes had its own written over.
TEST_CASE("who has cut a file on a condition has it until it is written") {
  Conditions conditions;
  std::uint64_t now = 5;
  const auto look = [&] { return now; };
  const std::string path = "/home/u/a";
  const HostCaller own = process(::getpid());
  Sleeper other;
  const auto set = [&](pid_t pid) { return conditions.set(process(pid), path, {now, pid}, look); };
  REQUIRE(set(own.pid));
  const auto claim = conditions.meet(own, path, {.goes_on = true, .thread = own.pid}, look);
  REQUIRE(is_met(claim));
  now = 6;
  CHECK(set(other.pid()).error().code == ESTALE);
  REQUIRE(set(own.pid));
  conditions.end(*claim);
  CHECK(set(other.pid()));
}

// The path of before the rename found none to end, and all others were refused while it lived.
TEST_CASE("a claim ends under whatever name its file has by then") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  const HostCaller own = process(::getpid());
  Sleeper other;
  REQUIRE(conditions.set(own, "/home/u/d/a", {5, own.pid}, look));
  const auto claim =
      conditions.meet(own, "/home/u/d/a", {.goes_on = true, .thread = own.pid}, look);
  REQUIRE(is_met(claim));
  conditions.follow("/home/u/d", "/home/u/e", false);
  const auto set = [&](const std::string& path) {
    return conditions.set(process(other.pid()), path, {5, other.pid()}, look);
  };
  CHECK(set("/home/u/e/a").error().code == ESTALE);
  CHECK(set("/home/u/d/a"));
  conditions.end(*claim);
  CHECK(set("/home/u/e/a"));
}

// Beyond so many each further one looked at all of them.
TEST_CASE("who has published many paths in place publishes the next as fast") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  const HostCaller own = process(::getpid());
  const auto publish = [&](std::size_t number) {
    const std::string path = fmt::format("/home/u/{}", number);
    return conditions.set(own, path, {5, own.pid}, look) &&
           is_met(conditions.meet(own, path, {.thread = own.pid}, look));
  };
  const auto time_of = [&](std::size_t from, std::size_t to) {
    const auto begun = std::chrono::steady_clock::now();
    for (std::size_t i = from; i < to; ++i) REQUIRE(publish(i));
    return std::chrono::steady_clock::now() - begun;
  };
  const auto within = time_of(0, Conditions::kMost);
  CHECK(time_of(Conditions::kMost, Conditions::kMost + 100) < within);
}

// It was its process alone that counted, and another of its threads cut what the first was writing.
TEST_CASE("threads of one process are held to each other's claims") {
  ThreadsOfOne t;
  const auto meet = [&](const Thread& thread) { return t.meet(thread.number(), true); };
  REQUIRE(t.set(t.one));
  REQUIRE(t.set(t.two));
  const auto claim = meet(t.one);
  REQUIRE(is_met(claim));
  CHECK(code_of(meet(t.two)) == ESTALE);
  t.now = 6;
  CHECK(t.set(t.two).error().code == ESTALE);
  CHECK(t.set(t.one));
  t.conditions.end(*claim);
  REQUIRE(t.set(t.two));
  CHECK(is_met(meet(t.two)));
}

TEST_CASE("a claim goes along with its file, and ends with the file's last name") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  const HostCaller own = process(::getpid());
  Sleeper other;
  const auto cut = [&](const std::string& path) {
    REQUIRE(conditions.set(own, path, {5, own.pid}, look));
    const Publishing how{.goes_on = true, .thread = own.pid};
    REQUIRE(is_met(conditions.meet(own, path, how, look)));
  };
  const auto is_claimed = [&](const std::string& path) {
    const Conditions::Wanted wanted{5, other.pid()};
    return !conditions.set(process(other.pid()), path, wanted, look);
  };
  CHECK_FALSE(conditions.any_claim());
  cut("/home/u/a");
  CHECK(conditions.any_claim());
  conditions.follow_file("/home/u/a", "/home/u/b", false);
  CHECK_FALSE(is_claimed("/home/u/a"));
  CHECK(is_claimed("/home/u/b"));
  conditions.follow_file("/home/u/b", "/home/u/c", true);
  CHECK_FALSE(is_claimed("/home/u/b"));
  conditions.follow_file("/home/u/b", "/home/u/c", true);
  CHECK(is_claimed("/home/u/b"));
  conditions.follow_file("/home/u/x", "/home/u/b", false);
  CHECK_FALSE(is_claimed("/home/u/b"));
  CHECK_FALSE(conditions.any_claim());
}

TEST_CASE("what goes takes the claims of who goes on writing it along, and no other's") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  const HostCaller own = process(::getpid());
  Sleeper other;
  const std::vector<std::string> all{"/home/u/d", "/home/u/d.c", "/home/u/d/a", "/home/u/e"};
  for (const std::string& path : all) {
    REQUIRE(conditions.set(own, path, {5, own.pid}, look));
    const Publishing how{.goes_on = true, .thread = own.pid};
    REQUIRE(is_met(conditions.meet(own, path, how, look)));
  }
  const auto claimed = [&] {
    std::vector<std::string> paths;
    for (const std::string& path : all) {
      if (!conditions.set(process(other.pid()), path, {5, other.pid()}, look))
        paths.push_back(path);
    }
    return paths;
  };
  CHECK(claimed() == all);
  conditions.forget("/home/u/e");
  CHECK(claimed() == std::vector<std::string>(all.begin(), all.begin() + 3));
  conditions.forget("/home/u/d");
  CHECK(claimed() == std::vector<std::string>{"/home/u/d.c"});
}

// Each refused one write of somebody else who had set none.
TEST_CASE("what threads have set that have ended refuses nothing") {
  Conditions conditions;
  std::uint64_t now = 5;
  const auto look = [&] { return now; };
  const std::string path = "/home/u/a";
  const HostCaller own = process(::getpid());
  const Publishing mine{.thread = own.pid};
  for (int i = 0; i < 3; ++i) {
    Thread passing;
    REQUIRE(conditions.set(own, path, {5, passing.number()}, look));
  }
  now = 6;
  const auto met = conditions.meet(own, path, mine, look);
  CHECK(code_of(met) == 0);
  CHECK_FALSE(is_met(met));
  CHECK_FALSE(conditions.any());
  Thread living;
  REQUIRE(conditions.set(own, path, {6, living.number()}, look));
  CHECK(is_met(conditions.meet(own, path, mine, look)));
}

TEST_CASE("conditions go along with a directory") {
  Conditions conditions;
  const auto look = [] { return std::uint64_t{5}; };
  const HostCaller own = process(::getpid());
  REQUIRE(conditions.set(own, "/workspaces/a/d/x", {5, own.pid}, look));
  REQUIRE(conditions.set(own, "/workspaces/a/dd", {5, own.pid}, look));
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
    const std::string path = fmt::format("/home/u/{}", i);
    REQUIRE(conditions.set(process(other.pid()), path, {5, other.pid()}, look));
  }
  const HostCaller own = process(::getpid());
  CHECK(conditions.set(own, "/home/u/a", {5, own.pid}, look).error().code == EAGAIN);
  other.end();
  CHECK(conditions.set(own, "/home/u/a", {5, own.pid}, look));
}

}  // namespace
}  // namespace agentfs::test
