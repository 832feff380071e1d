// SPDX-License-Identifier: MIT
// The daemon's side of a commit, with programs that stand in for agentfs-commit.
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <future>
#include <thread>

#include "backends/git/commit_child.h"
#include "backends/git/commit_process.h"
#include "backends/git/message.h"
#include "base/text.h"
#include "catch.h"
#include "support/temporary.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;
using std::chrono::milliseconds;
using test::TemporaryDirectory;

class Driver {
  TemporaryDirectory directory_;

 public:
  FakeClock clock;
  const std::string own = directory_.path("git/7.git");
  const std::string place = directory_.path();

  // Nothing waits for the next order unless `limits` say so: a script counts its runs.
  explicit Driver(const std::string& script, CommitLimits limits = {.in_advance = false}) {
    const std::string program = directory_.path("program");
    test::spit(program, "#!/bin/sh\ncd " + place + "\n" + script + "\n");
    REQUIRE(::chmod(program.c_str(), 0755) == 0);
    process_ = std::make_unique<CommitProcess>(clock, program, limits);
  }
  Result<std::string> commit(const std::string& worktree = "/w") {
    return process_->commit({.worktree = worktree,
                             .git_directory = own,
                             .ref = "refs/agentfs/turns/7",
                             .changed = {"a", std::string("b\0\xFF:", 4)},
                             .message = "m",
                             .author = "a",
                             .seconds = 5});
  }
  Error failure(const std::string& worktree = "/w") {
    const auto made = commit(worktree);
    REQUIRE_FALSE(made);
    return made.error();
  }
  CommitProcess& process() { return *process_; }

 private:
  std::unique_ptr<CommitProcess> process_;
};

const std::string kId(40, 'a');

void wait_for(const std::string& path) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!file::exists(path)) {
    REQUIRE(std::chrono::steady_clock::now() < until);
    std::this_thread::yield();
  }
}

// Waits, tells that it has read its order, and makes the commit.
const std::string kWaits =
    "cat > order.$$; mv order.$$ order; printf + >&0; echo x >> served; echo made " + kId;

}  // namespace

TEST_CASE("an order and its answer arrive as they were", "[commit]") {
  Driver driver("cat > order; echo a warning; echo made " + kId);
  REQUIRE(driver.commit() == kId);
  const auto order = git::decode_order(file::read(driver.place + "/order").value());
  REQUIRE(order);
  CHECK(order->commit.worktree == "/w");
  CHECK(order->commit.git_directory == driver.own);
  CHECK(order->commit.changed == std::vector<std::string>{"a", std::string("b\0\xFF:", 4)});
  CHECK(order->commit.seconds == 5);
  CHECK(order->locks_from == driver.clock.wall() / 1'000'000'000 + 1);
  CHECK_FALSE(file::exists(driver.own));
  const TurnCommit checkpoint{.worktree = "/w",
                              .git_directory = "/g",
                              .ref = "refs/agentfs/checkpoints/a",
                              .changed = {""},
                              .unignored = {"d", ""},
                              .left = {"b", "c:\n"},
                              .away = {{0160000, kId, "s: \n"}, {040000, kId, ""}},
                              .asks_index = false,
                              .drops_absent = true,
                              .adds_tracked = true,
                              .message = "m",
                              .author = "a",
                              .source = "/s",
                              .ignored = {"e:1"},
                              .known = {{KnownFile::Kind::link, kId, 12, "l: \n\xFF"}},
                              .parent = kId,
                              .always = true};
  const auto same = git::decode_order(git::encode(git::Order{checkpoint, 7}));
  REQUIRE(same);
  CHECK(same->commit.source == "/s");
  CHECK(same->commit.unignored == checkpoint.unignored);
  CHECK(same->commit.left == checkpoint.left);
  CHECK(same->commit.ignored == checkpoint.ignored);
  CHECK(same->commit.away == checkpoint.away);
  CHECK_FALSE(same->commit.asks_index);
  CHECK(same->commit.drops_absent);
  CHECK(same->commit.adds_tracked);
  REQUIRE(same->commit.known.size() == 1);
  CHECK(same->commit.known[0].kind == KnownFile::Kind::link);
  CHECK(same->commit.known[0].id == kId);
  CHECK(same->commit.known[0].size == 12);
  CHECK(same->commit.known[0].path == "l: \n\xFF");
  CHECK(same->commit.parent == kId);
  CHECK(same->commit.always);
  CHECK(same->commit.changed == checkpoint.changed);
}

TEST_CASE("an order that is cut short or says something else is told", "[commit]") {
  git::Order order;
  order.commit.known.push_back({KnownFile::Kind::file, kId, 1, "a"});
  const std::string whole = git::encode(order);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(git::decode_order(std::string_view(whole).substr(0, size)));
  }
  CHECK_FALSE(git::decode_order(whole + whole));
  CHECK_FALSE(git::decode_order("w5:ab"));
  CHECK_FALSE(git::decode_order("b3:fabz0:"));
  CHECK(git::decode_order(fmt::format("b44:f{}1 az0:", kId)));
  CHECK_FALSE(git::decode_order(fmt::format("b44:d{}1 az0:", kId)));
  CHECK_FALSE(git::decode_order(fmt::format("b44:f{}x az0:", kId)));
  CHECK(git::decode_order(fmt::format("n48:57344 {} sz0:", kId)));
  CHECK_FALSE(git::decode_order(fmt::format("n48:57345 {} sz0:", kId)));
  CHECK_FALSE(git::decode_order(fmt::format("n47:57344{} sz0:", kId)));
  CHECK_FALSE(git::decode_order("n9:57344 abcz0:"));
  CHECK_FALSE(git::decode_order("w"));
  CHECK_FALSE(git::decode_order("?1:a"));
}

TEST_CASE("what the program says is checked", "[commit]") {
  CHECK(Driver("printf 'made \\n'").commit() == "");
  const Error told = Driver("echo failed 16 the ref is locked").failure();
  CHECK(told.code == EBUSY);
  CHECK(told.message == "the ref is locked");
  for (const std::string line : {"", "echo made zz", "echo failed -1 no", "echo failed x",
                                 "printf 'made '", "echo hello", "exit 3"}) {
    INFO(line);
    CHECK(Driver(line).failure().code == EBADMSG);
  }
  CHECK(Driver("yes | head -c 3000000; echo made " + kId).commit() == kId);
  CHECK(git::decode_made(
            text::trim(git::encode(Result<std::string>(std::unexpected(Error{EIO, "two\nlines"})))))
            .error()
            .message == "two lines");
}

TEST_CASE("a program that is not there is told by name", "[commit]") {
  const TemporaryDirectory directory;
  const SystemClock clock;
  CommitProcess process(clock, "/nowhere/agentfs-commit");
  const auto made = process.commit({.worktree = "/w",
                                    .git_directory = directory.path("g"),
                                    .ref = "refs/agentfs/turns/7",
                                    .changed = {},
                                    .message = "",
                                    .author = ""});
  REQUIRE_FALSE(made);
  CHECK(made.error().code == ENOENT);
  CHECK_THAT(made.error().message, has("/nowhere/agentfs-commit"));
}

TEST_CASE("a commit that takes too long is ended, and its workspace rests", "[commit]") {
  Driver driver("echo x >> runs; [ -e good ] && echo made " + kId + " && exit; exec sleep 100",
                {.deadline = milliseconds(300), .in_advance = false});
  const Error late = driver.failure();
  CHECK(late.code == ETIMEDOUT);
  CHECK_THAT(late.message, has("/w took longer than 0.3 s") && has("tried again in 120 s"));
  CHECK(driver.failure().code == EAGAIN);
  driver.clock.advance(119'000'000'000);
  CHECK_THAT(driver.failure().message, has("the next is tried in 2 s"));
  driver.clock.advance(1'000'000'000);
  CHECK_THAT(driver.failure().message, has("tried again in 240 s"));
  driver.clock.advance(240'000'000'000);
  test::spit(driver.place + "/good", "");
  CHECK(driver.commit() == kId);
  CHECK(driver.commit() == kId);
  CHECK(file::read(driver.place + "/runs") == "x\nx\nx\nx\n");
}

TEST_CASE("a crash is told, and its workspace rests", "[commit]") {
  Driver driver("kill -SEGV $$");
  const Error crash = driver.failure();
  CHECK(crash.code == EIO);
  CHECK_THAT(crash.message, has("crashed (Segmentation fault)"));
  CHECK(driver.failure().code == EAGAIN);
  CHECK(driver.failure("/other").code == EIO);
}

TEST_CASE("only so many at once, and the end ends them", "[commit]") {
  Driver driver("echo x >> running; exec sleep 100",
                {.patience = milliseconds(50), .at_once = 1, .in_advance = false});
  auto first = std::async(std::launch::async, [&] { return driver.commit("/first"); });
  wait_for(driver.place + "/running");
  CHECK(driver.failure("/second").code == EBUSY);
  driver.process().stop();
  const auto ended = first.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == EINTR);
  CHECK(driver.failure("/third").code == EINTR);
}

TEST_CASE("the next commit's process waits, and serves one order", "[commit]") {
  Driver driver(kWaits, {});
  for (int i = 0; i < 3; ++i) {
    test::spit(driver.place + "/order", "");
    CHECK(driver.commit() == kId);
    CHECK(git::decode_order(file::read(driver.place + "/order").value()));
  }
  driver.process().stop();
  CHECK(file::read(driver.place + "/served") == "x\nx\nx\n");
  CHECK(driver.failure().code == EINTR);
}

TEST_CASE("one that dies while it waits costs no commit", "[commit]") {
  // One of the two that wait behind the first, which serves, ends before or with its order.
  const std::string dies = GENERATE("kill -KILL $$", "exit 0", "cat > /dev/null; kill -SEGV $$",
                                    "head -c 3 > /dev/null; kill -KILL $$");
  INFO(dies);
  Driver driver(
      "mkdir first 2> /dev/null || { mkdir second 2> /dev/null && { " + dies + "; }; }; " + kWaits,
      {});
  CHECK(driver.commit() == kId);
  wait_for(driver.place + "/second");
  CHECK(driver.commit() == kId);
  CHECK(driver.commit() == kId);
  driver.process().stop();
  CHECK(file::read(driver.place + "/served").value() == "x\nx\nx\n");
}

TEST_CASE("one that crashes over its order is not asked twice", "[commit]") {
  Driver driver("cat > /dev/null; printf + >&0; echo x >> served; [ -e bad ] && kill -SEGV $$;" +
                    std::string("echo made ") + kId,
                {});
  CHECK(driver.commit() == kId);
  test::spit(driver.place + "/bad", "");
  CHECK_THAT(driver.failure().message, has("crashed (Segmentation fault)"));
  CHECK(driver.failure().code == EAGAIN);
  CHECK(file::read(driver.place + "/served") == "x\nx\n");
}

TEST_CASE("an order larger than a socket holds arrives, and one that nobody reads ends",
          "[commit]") {
  git::Order large;
  large.commit.changed.assign(100'000, std::string(50, 'p'));
  const std::string order = git::encode(large);
  const UniqueFd never(::eventfd(0, EFD_CLOEXEC));
  const TemporaryDirectory directory;
  const std::string program = directory.path("program");
  const bool reads = GENERATE(true, false);
  test::spit(program, "#!/bin/sh\n" + std::string(reads ? "wc -c\n" : "exec sleep 100\n"));
  REQUIRE(::chmod(program.c_str(), 0755) == 0);
  const auto child = git::CommitChild::start(program).value();
  CHECK(child->is_alive());
  const auto served = child->serve(order, never.get(), milliseconds(reads ? 20'000 : 300));
  CHECK(served.has_value() == reads);
  CHECK_FALSE(child->is_alive());
  CHECK_FALSE(child->has_begun());
  if (reads) CHECK(text::trim(child->said()) == std::to_string(order.size()));
  if (!reads) CHECK(served.error().code == ETIMEDOUT);
}

}  // namespace agentfs
