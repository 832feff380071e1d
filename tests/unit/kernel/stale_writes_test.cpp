// SPDX-License-Identifier: MIT
// Who may replace what: agents what they have seen, persons anything; and what is kept of the rest.
#include "kernel/stale_writes.h"

#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "catch.h"
#include "kernel/conflict_table.h"
#include "kernel/kinds.h"
#include "kernel/refused_writes.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

constexpr std::string_view kPath = "/workspaces/site/a";

struct World {
  World() { agent = t.spawn({.name = "worker", .workspace = "site"}); }
  Caller hand() { return t.kernel().agent(agent, "call:1"); }
  StaleWrites& guard() { return t.kernel().stale_writes(); }
  RefusedWrites& refused() { return t.kernel().refused_writes(); }
  // Somebody writes it, and the journal tells.
  void write(const Caller& by, std::string_view path, std::string text) {
    t.paths.put(std::string(path), std::move(text));
    REQUIRE(t.kernel().record_change(by, {.operation = "write", .path = std::string(path)}));
  }
  void read(std::string_view path) {
    Sight sight = guard().now();
    sight.digest = fnv1a(t.paths.get(std::string(path)).value_or(""));
    guard().saw(hand(), std::string(path), sight);
  }
  Status replace(Replacement::Way way, std::string_view path, std::string text = "its own\n") {
    Replacement attempt{.way = way, .path = std::string(path)};
    attempt.text = [text]() -> Result<std::string> { return text; };
    return guard().may_replace(hand(), attempt);
  }
  int code(Replacement::Way way, std::string_view path = kPath) {
    const Status done = replace(way, path);
    return done ? 0 : done.error().code;
  }

  TestKernel t;
  ProcessId agent;
};

using Way = Replacement::Way;

TEST_CASE("a tool writes what its agent has read or written, and no other") {
  World w;
  w.write(w.t.person(), kPath, "a person's\n");
  CHECK(w.code(Way::text) == ESTALE);
  CHECK(w.code(Way::truncate) == 0);  // a command that has not seen it is not checked
  CHECK(w.code(Way::remove) == 0);
  w.read(kPath);
  CHECK(w.code(Way::text) == 0);
  w.write(w.hand(), "/workspaces/site/own", "its own text\n");
  CHECK(w.code(Way::text, "/workspaces/site/own") == 0);
  CHECK(w.code(Way::text, "/tmp/a") == 0);
}

TEST_CASE("what another has changed since it was seen is not replaced in any way") {
  World w;
  w.write(w.t.person(), kPath, "one\n");
  w.read(kPath);
  w.write(w.t.person(), kPath, "two\n");
  for (const Way way : {Way::text, Way::rename, Way::truncate, Way::remove}) {
    CHECK(w.code(way) == ESTALE);
  }
  w.write(w.hand(), kPath, "two\nadded by the agent\n");
  CHECK(w.code(Way::text) == ESTALE);  // it has still not seen what the person did
  w.read(kPath);
  CHECK(w.code(Way::text) == 0);
  w.write(w.hand(), kPath, "three\n");
  CHECK(w.code(Way::text) == 0);
}

TEST_CASE("nothing is refused where nothing would be lost") {
  World w;
  w.write(w.t.person(), kPath, "");
  CHECK(w.code(Way::text) == 0);  // empty
  w.write(w.t.person(), kPath, "one\n");
  w.read(kPath);
  w.write(w.t.person(), kPath, "one\n");
  CHECK(w.code(Way::text) == 0);  // again what it has seen
  w.write(w.t.person(), kPath, "its own\n");
  CHECK(w.code(Way::text) == 0);         // what it would write is there
  CHECK(w.code(Way::rename) == ESTALE);  // two who count write the same, and one would be lost
  CHECK(w.refused().all(w.t.person()).empty());
}

TEST_CASE("persons are refused nothing, nor is what a .gitignore names") {
  World w;
  w.write(w.hand(), kPath, "an agent's\n");
  Replacement attempt{.path = std::string(kPath)};
  CHECK(w.guard().may_replace(w.t.person(), attempt));
  w.t.paths.put("/workspaces/site/.gitignore", "*.o\n/build/\n");
  w.t.paths.put("/workspaces/site/src/.gitignore", "!kept.o\n");
  for (const char* path : {"src/x.o", "build/deep/y", "src/kept.o", "src/build/y"}) {
    w.write(w.t.person(), fmt::format("/workspaces/site/{}", path), "old\n");
  }
  CHECK(w.code(Way::text, "/workspaces/site/src/x.o") == 0);
  CHECK(w.code(Way::text, "/workspaces/site/build/deep/y") == 0);
  CHECK(w.code(Way::text, "/workspaces/site/src/kept.o") == ESTALE);
  CHECK(w.code(Way::text, "/workspaces/site/src/build/y") == ESTALE);
}

TEST_CASE("what was refused is kept once, outlives a restart and goes with its end") {
  World w;
  w.write(w.t.person(), kPath, "a person's\n");
  CHECK(w.code(Way::text) == ESTALE);
  CHECK(w.code(Way::text) == ESTALE);
  REQUIRE(w.refused().all(w.t.person()).size() == 1);
  const Refusal before = *w.refused().all(w.t.person()).front();
  CHECK(before.process == w.agent);
  const std::string directory = fmt::format("{}/conflicts/{}", w.t.state(), before.number);
  std::filesystem::create_directories(w.t.state() + "/conflicts/99999");  // without a row
  REQUIRE(w.t.stop_and_start());
  CHECK_FALSE(file::exists(w.t.state() + "/conflicts/99999"));
  const auto after = w.refused().get(w.t.person(), before.number);
  REQUIRE(after);
  CHECK(*w.refused().theirs(**after) == "its own\n");
  CHECK(w.refused().drop(w.hand(), **after).error().code == EPERM);
  CHECK(w.refused().take(w.t.person(), **after, "both").error().code == EINVAL);
  REQUIRE(w.refused().take(w.t.person(), **after, "theirs"));
  CHECK(w.t.paths.get(std::string(kPath)) == "its own\n");
  CHECK_FALSE(file::exists(directory));
  CHECK(w.refused().get(w.t.person(), before.number).error().code == ENOENT);
  CHECK(w.code(Way::text, kPath) == 0);
}

TEST_CASE("a row whose bytes are gone ends, and no number is given twice") {
  World w;
  w.write(w.t.person(), kPath, "a person's\n");
  CHECK_FALSE(w.replace(Way::text, kPath, "1\n"));
  CHECK_FALSE(w.replace(Way::text, kPath, "2\n"));
  const auto all = w.refused().all(w.t.person());
  REQUIRE(all.size() == 2);
  CHECK(all[0]->number < all[1]->number);
  std::filesystem::remove_all(w.t.state() + "/conflicts");
  REQUIRE(w.t.stop_and_start());
  CHECK(w.refused().all(w.t.person()).empty());
  CHECK_FALSE(w.replace(Way::text, kPath, "3\n"));
  CHECK(w.refused().all(w.t.person()).front()->number > all[1]->number);
}

TEST_CASE("no condition is met while a merge changes the tree, whose rows come at its end") {
  World w;
  w.write(w.t.person(), kPath, "text");
  const std::string path(kPath);
  Caller shell = w.t.person();
  shell.host.pid = ::getpid();
  const std::uint64_t now = w.guard().generation(path)->number;
  REQUIRE(w.guard().set_condition(shell, path, now, shell.host.pid));
  REQUIRE(w.t.kernel().conflicts().begin("/workspaces/site"));
  const auto refused = w.guard().meet_condition(shell, path, {.thread = shell.host.pid});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ESTALE);
  w.t.kernel().conflicts().end("/workspaces/site");
  const auto met = w.guard().meet_condition(shell, path, {.thread = shell.host.pid});
  CHECK(met.value() != ClaimNumber::none);
}

}  // namespace
}  // namespace agentfs::test
