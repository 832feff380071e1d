// SPDX-License-Identifier: MIT
// What a daemon that begins shows of what the one before it left.
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/nanoseconds.h"
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

std::int64_t time_of(const timespec& time) { return time.tv_sec * kNanoseconds + time.tv_nsec; }

std::int64_t mtime(TreeWorld& world, const std::string& path) {
  const auto found = world.find(path);
  REQUIRE(found);
  return time_of(found->attributes.st_mtim);
}

// Of the plain file that a document is kept in.
std::int64_t kept_mtime(TreeWorld& world, const std::string& path) {
  struct stat attributes{};
  REQUIRE(::stat((world.base().state() + path).c_str(), &attributes) == 0);
  return time_of(attributes.st_mtim);
}

TEST_CASE("A file that reads the same after a restart has the same mtime") {
  TreeWorld world;
  std::map<std::string, std::pair<std::string, std::int64_t>> before;
  for (const ListedAt& one : world.listing()) {
    if (one.item.type != S_IFREG) continue;
    before[one.path] = {world.read(one.path), time_of(one.found.attributes.st_mtim)};
  }
  world.base().clock.advance(60 * kNanoseconds);
  world.restart();
  std::size_t same = 0;
  for (const auto& [path, seen] : before) {
    INFO(path);
    const auto& [text, changed] = seen;
    if (!world.find(path) || world.read(path) != text) continue;
    ++same;
    CHECK(mtime(world, path) == changed);
  }
  CHECK(same > before.size() * 9 / 10);
}

TEST_CASE("A document has the mtime of the file that keeps it, also in the next daemon") {
  TreeWorld world;
  const std::string path = "/etc/models/other.toml";
  const std::int64_t first = mtime(world, path);
  CHECK(first == kept_mtime(world, path));
  std::string text = world.read(path) + "# changed\n";
  REQUIRE(world.write(path, text) == 0);
  const std::int64_t second = mtime(world, path);
  CHECK(second > first);
  CHECK(second == kept_mtime(world, path));
  REQUIRE(world.write(path, text) == 0);
  CHECK(mtime(world, path) == second);  // the content has not changed
  CHECK(kept_mtime(world, path) == second);
  world.restart();
  CHECK(world.read(path) == text);
  CHECK(mtime(world, path) == second);
}

TEST_CASE("A directory of documents has another mtime when the names in it are others") {
  TreeWorld world;
  const std::string path = "/etc/models";
  const std::int64_t first = mtime(world, path);
  world.base().clock.advance(kNanoseconds);
  REQUIRE(world.write(path + "/other.toml", world.read(path + "/other.toml") + "# more\n") == 0);
  CHECK(mtime(world, path) == first);
  REQUIRE(world.get(path)->unlink(world.request(), "other.toml"));
  const std::int64_t second = mtime(world, path);
  CHECK(second == first + kNanoseconds);
  world.base().clock.advance(kNanoseconds);
  world.restart();
  CHECK(mtime(world, path) == second);
}

TEST_CASE("A document that was edited in the state directory has another mtime") {
  TreeWorld world;
  const std::string path = "/etc/models/other.toml";
  const std::int64_t first = mtime(world, path);
  const std::string text = world.read(path) + "# by hand\n";
  const std::string host = world.base().state() + path;
  REQUIRE(file::replace(host, text));
  const timespec later{first / kNanoseconds + 1, first % kNanoseconds};
  const timespec times[2] = {later, later};
  REQUIRE(::utimensat(AT_FDCWD, host.c_str(), times, 0) == 0);
  world.restart();
  CHECK(world.read(path) == text);
  CHECK(mtime(world, path) == first + kNanoseconds);
}

}  // namespace
}  // namespace agentfs::test
