// SPDX-License-Identifier: MIT
// What is dead can be read and reaped, what is reaped is not there, and what is held of it is gone.
#include <algorithm>

#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

// A word that would do for a living process.
std::string sample(std::string_view argument) {
  if (argument == "N") return "5";
  if (argument == "WHEN") return "10m";
  return "words";
}

std::string sample_line(const vfs::VerbInfo& verb) {
  std::vector<std::string> words{std::string(verb.word)};
  const auto syntax = text::words(verb.syntax);
  for (std::size_t i = 1; i < syntax.size(); ++i) words.push_back(sample(syntax[i]));
  return fmt::format("{}\n", text::join(words, " "));
}

std::string sample_setting(TreeWorld& world, const RowAt& row) {
  const std::string same = world.read(world.path_of(world.idle, row.info().name));
  return text::trim(same).empty() ? "10m\n" : same;
}

std::vector<RowAt> rows_of(TreeWorld& world, ProcessId pid) {
  std::vector<RowAt> all = world.rows();
  const std::string directory = fmt::format("/proc/{}", pid.value);
  std::erase_if(all, [&](const RowAt& row) {
    return row.path != directory && !row.path.starts_with(directory + "/");
  });
  return all;
}

void check_gone(TreeWorld& world, const std::string& path, int code) {
  INFO(path);
  CHECK(code == ESRCH);
  REQUIRE_FALSE(world.errors().empty());
  CHECK(world.errors().back().contains("ESRCH"));
}

TEST_CASE("Every write to a dead process is ESRCH and changes nothing") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  std::size_t seen = 0;
  for (const RowAt& row : rows_of(world, world.dead)) {
    switch (row.info().kind) {
      case vfs::Kind::setting:
        check_gone(world, row.path, world.write(row.path, sample_setting(world, row)));
        break;
      case vfs::Kind::message:
      case vfs::Kind::reply:
        check_gone(world, row.path, world.write(row.path, "words\n"));
        break;
      case vfs::Kind::control:
        for (const vfs::VerbInfo& verb : row.info().verbs) {
          if (verb.word == "reap") continue;
          INFO(verb.syntax);
          check_gone(world, row.path, world.write(row.path, sample_line(verb)));
        }
        break;
      default:
        continue;
    }
    ++seen;
  }
  CHECK(seen >= 8);
  CHECK(world.head() == head);
}

TEST_CASE("Documents of a dead process can be read, not changed") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  const std::string path = world.path_of(world.dead, "context.d/rules.md");
  CHECK(world.read(path) == "Be brief.\n");
  check_gone(world, path, world.write(path, "Be long.\n"));
  const vfs::NodeRef directory = world.get(parent_of(path));
  const Status removed = directory->unlink(world.request(), "rules.md");
  REQUIRE_FALSE(removed);
  CHECK(removed.error().code == ESRCH);
  const auto made = directory->create(world.request(), "more.md", O_WRONLY | O_CREAT, 0644);
  if (made) {
    int code = write_once(world.request(), *made->opened.handle, "x\n");
    const Status flushed = made->opened.handle->flush(world.request());
    if (code == 0 && !flushed) code = flushed.error().code;
    CHECK(code == ESRCH);
    made->opened.handle->release();
  } else {
    CHECK(made.error().code == ESRCH);
  }
  CHECK(world.head() == head);
}

TEST_CASE("The values of a dead process can be read") {
  TreeWorld world;
  for (const RowAt& row : rows_of(world, world.dead)) {
    if (!is_text(row.info().kind)) continue;
    INFO(row.path);
    CHECK_NOTHROW(world.read(row.path));
  }
  CHECK(world.read(world.path_of(world.dead, "state")) == "dead\n");
}

struct Held {
  std::string path;
  std::shared_ptr<vfs::Handle> handle;
  bool is_written = false;
};

std::vector<Held> hold_everything(TreeWorld& world) {
  std::vector<Held> all;
  for (const RowAt& row : rows_of(world, world.dead)) {
    if (!is_text(row.info().kind)) continue;
    const auto opened = world.get(row.path)->open(world.request(), O_RDONLY);
    REQUIRE(opened);
    all.push_back({row.path, opened->handle});
    if (row.info().kind == vfs::Kind::message || !is_written(row.info().kind)) continue;
    const auto writer = world.get(row.path)->open(world.request(), O_RDWR);
    REQUIRE(writer);
    all.push_back({row.path, writer->handle, true});
  }
  return all;
}

TEST_CASE("After reap names are ENOENT and what is held is ESRCH") {
  TreeWorld world;
  const auto rows = rows_of(world, world.dead);
  const std::vector<Held> held = hold_everything(world);
  const vfs::NodeRef directory = world.get(fmt::format("/proc/{}", world.dead.value));
  const auto nodes = [&] {
    std::vector<vfs::NodeRef> all;
    for (const RowAt& row : rows) all.push_back(world.get(row.path));
    return all;
  }();
  CHECK(world.write(world.path_of(world.dead, "ctl"), "reap\n") == 0);
  for (const RowAt& row : rows) {
    INFO(row.path);
    CHECK(world.find(row.path).error().code == ENOENT);
  }
  for (const Held& one : held) {
    INFO(one.path << (one.is_written ? " for writing" : ""));
    int code = 0;
    one.handle->read(world.request(), 0, 4096,
                     Completion<vfs::Bytes>(
                         [&](Result<vfs::Bytes> bytes) { code = bytes ? 0 : bytes.error().code; }));
    CHECK(code == ESRCH);
    if (one.is_written) CHECK(write_once(world.request(), *one.handle, "1\n") == ESRCH);
    one.handle->release();
  }
  CHECK(directory->lookup(world.request(), "state").error().code == ENOENT);
  CHECK_FALSE(directory->open_directory(world.request()));
}

TEST_CASE("Only the dead are reaped") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  for (const ProcessId pid : {world.init, world.idle, world.busy}) {
    const int code = world.write(world.path_of(pid, "ctl"), "reap\n");
    CHECK((code == EBUSY || code == EPERM));
  }
  CHECK(world.head() == head);
}

}  // namespace
}  // namespace agentfs::test
