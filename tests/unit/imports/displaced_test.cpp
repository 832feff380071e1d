// SPDX-License-Identifier: MIT
// What others save in a directory of the host in the instant in which a write() changes places
// there: renameat2(2) of this program tells a test when.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>

#include "catch.h"
#include "imported.h"

namespace agentfs::test {
namespace {

struct Instant {
  std::function<void()> before{};
  std::function<void()> after{};
};
Instant next_rename;  // of one name to another; each is told of once

void pass(std::function<void()>& told) {
  if (const auto now = std::exchange(told, {})) now();
}

}  // namespace
}  // namespace agentfs::test

extern "C" int renameat2(int from, const char* name, int to, const char* other,
                         unsigned flags) noexcept {
  agentfs::test::pass(agentfs::test::next_rename.before);
  const auto done = ::syscall(SYS_renameat2, from, name, to, other, flags);
  const int code = errno;
  agentfs::test::pass(agentfs::test::next_rename.after);
  errno = code;
  return static_cast<int>(done);
}

namespace agentfs::test {
namespace {

void save(const Imported& it, const std::string& path, std::string_view text) {
  put(it.directory.path("saved"), text);
  fs::rename(it.directory.path("saved"), it.host + "/" + path);
}

void append(const std::string& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

// The texts of what lies ready for a write() by its name.
std::vector<std::string> left_behind(const Imported& it) {
  std::vector<std::string> texts;
  for (const std::string& name : it.names()) {
    if (name.contains(".agentfs-")) texts.push_back(text_of(it.host + "/" + name));
  }
  return texts;
}

// A process writes, and dies right after a name has changed its place.
void write_and_die(Imported& it, const std::vector<HostChange>& changes,
                   const std::function<void()>& before, const std::function<void()>& after) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    next_rename.before = before;
    next_rename.after = [&] {
      after();
      ::_exit(7);
    };
    (void)it.store->write(it.id, changes);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WEXITSTATUS(status) == 7);
  it.open();
}

const auto nothing = [] {};

// a, which is z, too, and m.
void record_two_names(Imported& it) {
  put(it.host + "/a", "theirs\n");
  fs::create_hard_link(it.host + "/a", it.host + "/z");
  put(it.host + "/m", "theirs\n");
  must(it.store->record(it.id, must(it.store->drift(it.id, true))));
}

// A mode, and the one that was before again: the time alone tells of it.
void set_after_two_renames(const std::string& path) {
  next_rename.after = [path] {
    next_rename.after = [path] {
      for (const mode_t mode : {0666U, 0644U}) REQUIRE(::chmod(path.c_str(), mode) == 0);
    };
  };
}

}  // namespace

TEST_CASE("What is saved again while what was saved goes back to its place is kept beside it") {
  Imported it;
  next_rename.before = [&] { save(it, "a", "somebody's\n"); };
  next_rename.after = [&] { append(it.host + "/a", "the last line\n"); };
  const auto refused = it.store->write(it.id, {it.file("a", "ours\n")});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  CHECK(text_of(it.host + "/a") == "somebody's\n");
  CHECK(left_behind(it) == std::vector<std::string>{"ours\nthe last line\n"});
  CHECK(refused.error().message.contains("/.agentfs-"));
}

TEST_CASE("What is saved before its place is changed is there, and nothing beside it") {
  Imported it;
  const bool removes = GENERATE(false, true);
  next_rename.before = [&] { save(it, "a", "somebody's\n"); };
  const HostChange change = removes ? HostChange{.path = "a"} : it.file("a", "ours\n");
  CHECK_FALSE(it.store->write(it.id, {change}));
  CHECK(text_of(it.host + "/a") == "somebody's\n");
  CHECK(left_behind(it).empty());
}

TEST_CASE("What is set on a file whose other name was replaced before stays, and stops the write") {
  Imported it;
  record_two_names(it);
  const bool is_set = GENERATE(false, true);
  // After the first name, which is a's, the next is m's.
  if (is_set) set_after_two_renames(it.host + "/z");
  const auto done = it.store->write(
      it.id, {it.file("a", "ours\n"), it.file("m", "ours\n"), it.file("z", "ours\n")});
  CHECK(done.has_value() == !is_set);
  CHECK(text_of(it.host + "/z") == (is_set ? "theirs\n" : "ours\n"));
}

TEST_CASE("What is set on a file whose other name gave way to no file stays, too") {
  Imported it;
  record_two_names(it);
  const bool is_set = GENERATE(false, true);
  const auto type = GENERATE(mode_t{S_IFDIR}, mode_t{S_IFIFO});
  // After a's name, which goes, the next is m's.
  if (is_set) set_after_two_renames(it.host + "/z");
  HostChange instead{.path = "a"};
  instead.to.mode = type | 0755;
  const auto done =
      it.store->write(it.id, {instead, it.file("m", "ours\n"), it.file("z", "ours\n")});
  CHECK(done.has_value() == !is_set);
  CHECK(text_of(it.host + "/z") == (is_set ? "theirs\n" : "ours\n"));
}

TEST_CASE("What is set on a file whose other name got a mode before stays, too") {
  Imported it;
  record_two_names(it);
  const std::string path = it.host + "/z";
  // What is set, the mode that was before, or ours once more: none is what we have done.
  const mode_t theirs = GENERATE(0U, 0666U, 0644U, 0600U);
  next_rename.after = [&] {
    if (theirs != 0) REQUIRE(::chmod(path.c_str(), theirs) == 0);
  };
  HostChange mode{.path = "a"};
  mode.to = {.mode = S_IFREG | 0600, .size = 7};
  const auto done = it.store->write(it.id, {mode, it.file("m", "ours\n"), it.file("z", "ours\n")});
  CHECK(done.has_value() == (theirs == 0));
  CHECK(text_of(path) == (theirs != 0 ? "theirs\n" : "ours\n"));
  CHECK(fs::status(path).permissions() == fs::perms(theirs != 0 ? theirs : 0640U));
}

TEST_CASE("What was saved and moved away by a write that a crash cut short is back") {
  Imported it;
  const bool removes = GENERATE(false, true);
  const HostChange change = removes ? HostChange{.path = "a"} : it.file("a", "ours\n");
  write_and_die(it, {change}, [&] { save(it, "a", "somebody's\n"); }, nothing);
  CHECK(left_behind(it).size() == 1);
  must(it.store->settle());
  CHECK(text_of(it.host + "/a") == "somebody's\n");
  CHECK(left_behind(it).empty());
}

TEST_CASE("Where another save has its place by then, it stays beside that") {
  Imported it;
  const auto first = [&] { save(it, "a", "somebody's\n"); };
  write_and_die(it, {it.file("a", "ours\n")}, first, [&] { save(it, "a", "another's\n"); });
  must(it.store->settle());
  CHECK(text_of(it.host + "/a") == "another's\n");
  CHECK(left_behind(it) == std::vector<std::string>{"somebody's\n"});
}

TEST_CASE("What a write that a crash cut short has replaced goes, and the write can be ended") {
  Imported it;
  const std::vector<HostChange> changes{it.file("a", "ours\n"), it.file("src/b", "ours\n")};
  write_and_die(it, changes, nothing, nothing);
  SECTION("at the next start") { must(it.store->settle()); }
  SECTION("at the first start at which its disk is there") {
    fs::rename(it.host, it.host + "-away");
    fs::create_directory(it.host);
    must(it.store->settle());
    fs::remove(it.host);
    fs::rename(it.host + "-away", it.host);
    must(it.store->settle());
  }
  CHECK(left_behind(it).empty());
  CHECK(text_of(it.host + "/src/b") == "b\n");
  must(it.store->write(it.id, changes));
  CHECK(text_of(it.host + "/src/b") == "ours\n");
}

TEST_CASE("An empty directory that has the number of what was imported alone is another") {
  Imported it;
  for (const auto& entry : fs::directory_iterator(it.host)) fs::remove_all(entry.path());
  const std::string about = fmt::format("{}/imports/{}/about", it.directory.path(), it.id);
  json::Value value = must(json::parse(text_of(about)));
  if (value["made"].number() == 0) {
    WARN("SKIPPED: this disk does not tell when a directory was made");
    return;
  }
  CHECK(it.store->drift(it.id, false));
  value.set("made", value["made"].number() - 1);
  put(about, json::dump(value) + "\n");
  it.open();
  CHECK(it.store->drift(it.id, false).error().code == ENODEV);
  CHECK(it.store->keep(it.id, {"a"}).error().code == ENODEV);
}

}  // namespace agentfs::test
