// SPDX-License-Identifier: MIT
// What files read as: exact sizes, text, snapshots, and nothing changes by it.
#include <algorithm>

#include "base/nanoseconds.h"
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

std::vector<ListedAt> listed_files(TreeWorld& world) {
  std::vector<ListedAt> files = world.listing();
  std::erase_if(files, [](const ListedAt& one) { return one.item.type != S_IFREG; });
  return files;
}

std::shared_ptr<vfs::Handle> open_to_read(TreeWorld& world, const vfs::NodeRef& node) {
  const auto opened = node->open(world.request(), O_RDONLY);
  REQUIRE(opened);
  return opened->handle;
}

TEST_CASE("Every listed file is UTF-8 text of the size that stat says, in pieces of any length") {
  TreeWorld world;
  for (const ListedAt& one : listed_files(world)) {
    INFO(one.path);
    const auto handle = open_to_read(world, one.found.node);
    const std::string text = read_all(world.request(), *handle);
    CHECK(static_cast<off_t>(text.size()) == one.found.attributes.st_size);
    CHECK(text::is_utf8(text));
    CHECK(text.find('\0') == std::string::npos);
    CHECK(read_all(world.request(), *handle, 7) == text);
    handle->release();
  }
}

TEST_CASE("Every row's text ends with a newline or is empty, and so does every README") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (!is_text(row.info().kind)) continue;
    const std::string text = world.read(row.path);
    INFO(row.path << ": " << text::shown(text));
    CHECK((text.empty() || text.ends_with('\n')));
  }
  for (const DirectoryAt& at : world.directories()) {
    INFO(at.path);
    CHECK(world.read(below(at.path, "README")).ends_with('\n'));
  }
}

// Each open of a reply file is a conversation of its own, so each look-up gives a node of its own.
std::vector<ListedAt> shared_files(TreeWorld& world) {
  std::vector<ListedAt> files = listed_files(world);
  for (const RowAt& row : world.rows()) {
    if (row.info().kind != vfs::Kind::reply) continue;
    std::erase_if(files, [&](const ListedAt& one) { return one.path == row.path; });
  }
  return files;
}

// The kernel's own clocks, which move without anybody's doing.
bool tells_the_time(const std::string& path) {
  return path == "/sys/kernel/clock" || path == "/sys/kernel/uptime" ||
         path == "/sys/kernel/metrics";
}

TEST_CASE("Reading everything twice gives the same nodes and times and leaves the journal alone") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  const std::vector<ListedAt> before = shared_files(world);
  for (const ListedAt& one : before) static_cast<void>(world.read(one.path));
  for (const ListedAt& one : before) {
    INFO(one.path);
    const auto again = world.find(one.path);
    REQUIRE(again);
    if (tells_the_time(one.path)) continue;
    CHECK(again->node == one.found.node);
    CHECK(again->attributes.st_mtim.tv_sec == one.found.attributes.st_mtim.tv_sec);
    CHECK(again->attributes.st_mtim.tv_nsec == one.found.attributes.st_mtim.tv_nsec);
  }
  CHECK(world.head() == head);
  CHECK(world.errors().empty());
}

TEST_CASE("Time that goes by moves the mtime of nothing but clocks") {
  TreeWorld world;
  const std::vector<ListedAt> before = shared_files(world);
  world.base().clock.advance(5 * kNanoseconds);
  for (const ListedAt& one : before) {
    if (tells_the_time(one.path)) continue;
    INFO(one.path);
    const auto again = world.find(one.path);
    REQUIRE(again);
    if (tells_the_time(one.path)) continue;
    CHECK(again->node == one.found.node);
    CHECK(again->attributes.st_mtim.tv_sec == one.found.attributes.st_mtim.tv_sec);
  }
}

void change_much(TreeWorld& world) {
  world.base().clock.advance(kNanoseconds);
  const ProcessId more = world.base().spawn({.name = "another", .task = "Help."});
  REQUIRE(world.base().commit(kind::kRunBegin, about(more)));
  REQUIRE(world.base().commit(
      kind::kCallEnd, about(world.busy, {{"call", 2}, {"state", "failed"}, {"result", "no\n"}})));
  const json::Value end = about(world.busy, {{"outcome", "answered"}, {"text", "Done."}});
  REQUIRE(world.base().commit(kind::kRunEnd, end));
  for (const ProcessId pid : {world.idle, world.busy}) {
    CHECK(world.write(world.path_of(pid, "ctl"), "nice 3\ndeadline 10m\nsend Hello.\n") == 0);
    CHECK(world.write(world.path_of(pid, "name"), "renamed\n") == 0);
    CHECK(world.write(world.path_of(pid, "model"), "other\n") == 0);
    CHECK(world.write(world.path_of(pid, "limits"), "turns=5\n") == 0);
  }
}

TEST_CASE("What was opened is a snapshot: it stays whole when the state moves on") {
  TreeWorld world;
  const std::vector<ListedAt> files = shared_files(world);
  std::vector<std::pair<std::string, std::shared_ptr<vfs::Handle>>> held;
  for (const ListedAt& one : files) {
    const auto handle = open_to_read(world, one.found.node);
    held.emplace_back(read_all(world.request(), *handle), handle);
  }
  change_much(world);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    INFO(files[i].path);
    CHECK(read_all(world.request(), *held[i].second, 5) == held[i].first);
    const auto size = files[i].found.node->attributes(world.request());
    REQUIRE(size);
    CHECK(size->attributes.st_size == static_cast<off_t>(held[i].first.size()));
    const auto now = world.find(files[i].path);
    REQUIRE(now);
    const std::string text = world.read(files[i].path);
    // Another content is another node; the same content is the same one.
    CHECK((text == held[i].first) == (now->node == files[i].found.node));
    moved += text == held[i].first ? 0U : 1U;
    held[i].second->release();
  }
  CHECK(moved > 20);
}

TEST_CASE("The open that follows a stat reads what was measured, whatever happened in between") {
  TreeWorld world;
  const std::vector<ListedAt> files = listed_files(world);
  change_much(world);
  for (const ListedAt& one : files) {
    INFO(one.path);
    const auto handle = open_to_read(world, one.found.node);
    const std::string text = read_all(world.request(), *handle);
    CHECK(static_cast<off_t>(text.size()) == one.found.attributes.st_size);
    handle->release();
  }
}

TEST_CASE("One who has no process may read everything and gets none by it") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  const auto processes = world.kernel().processes();
  const auto files = listed_files(world);
  HostCaller stranger;
  stranger.pid = 77;
  stranger.uid = 12'345;
  world.become(world.kernel().identify(stranger));
  REQUIRE_FALSE(world.request().caller().process);
  for (const ListedAt& one : files) {
    if (one.path.starts_with("/sys/conflicts/")) continue;  // of the workspace's owner
    INFO(one.path);
    CHECK_NOTHROW(world.read(one.path));
  }
  CHECK(world.find("/proc/self").error().code == ENOENT);
  CHECK(world.head() == head);
  CHECK(world.kernel().processes() == processes);
}

TEST_CASE("A content that changed has a later mtime") {
  TreeWorld world;
  const std::vector<ListedAt> files = listed_files(world);
  std::vector<std::string> texts;
  for (const ListedAt& one : files) texts.push_back(world.read(one.path));
  change_much(world);
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (world.read(files[i].path) == texts[i]) continue;
    INFO(files[i].path);
    const auto now = world.find(files[i].path);
    REQUIRE(now);
    CHECK(now->attributes.st_mtim.tv_sec > files[i].found.attributes.st_mtim.tv_sec);
  }
}

TEST_CASE("Every .json file is JSON and every .jsonl file is a JSON object a line") {
  TreeWorld world;
  std::size_t seen = 0;
  for (const ListedAt& one : listed_files(world)) {
    INFO(one.path);
    if (one.path.ends_with(".json")) {
      const auto value = json::parse(world.read(one.path));
      REQUIRE(value);
      CHECK(value->object() != nullptr);
      ++seen;
    }
    if (!one.path.ends_with(".jsonl")) continue;
    const std::string text = world.read(one.path);
    for (const std::string_view line : text::lines(text)) {
      const auto value = json::parse(line);
      REQUIRE(value);
      CHECK(value->object() != nullptr);
    }
    ++seen;
  }
  CHECK(seen > 10);
}

TEST_CASE("A .tsv file has a header and the same number of fields in each line") {
  TreeWorld world;
  std::size_t seen = 0;
  for (const ListedAt& one : listed_files(world)) {
    if (!one.path.ends_with(".tsv")) continue;
    INFO(one.path);
    const std::string text = world.read(one.path);
    const auto lines = text::lines(text);
    REQUIRE_FALSE(lines.empty());
    CHECK(lines[0].starts_with("# "));
    for (const std::string_view line : lines) {
      CHECK(text::split(line, '\t').size() == text::split(lines[0], '\t').size());
    }
    ++seen;
  }
  CHECK(seen > 0);
}

}  // namespace
}  // namespace agentfs::test
