// SPDX-License-Identifier: MIT
// Documents: saved whole and checked, or refused and the old one in force.
#include <algorithm>

#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;
using namespace std::string_literals;

std::vector<RowAt> document_rows(TreeWorld& world, bool writable) {
  std::vector<RowAt> all = world.rows();
  std::erase_if(all, [&](const RowAt& row) {
    if (row.info().kind != vfs::Kind::documents) return true;
    return (row.directory.type->documents(row.index)->save != nullptr) != writable;
  });
  return all;
}

bool belongs_to_the_dead(const TreeWorld& world, const RowAt& row) {
  return row.directory.key == vfs::Key{fmt::format("{}", world.dead.value)};
}

// The regular files below, README left out.
std::vector<std::string> documents_below(TreeWorld& world, const std::string& directory) {
  std::vector<std::string> all;
  for (const ListedAt& one : world.listing()) {
    const bool is_below = one.path.starts_with(directory + "/");
    if (is_below && one.item.type == S_IFREG && one.item.name != "README") all.push_back(one.path);
  }
  return all;
}

int create(TreeWorld& world, const std::string& path, std::string_view text) {
  const auto made =
      world.get(parent_of(path))->create(world.request(), name_of(path), O_WRONLY | O_CREAT, 0644);
  if (!made) return made.error().code;
  int code = write_once(world.request(), *made->opened.handle, text);
  const Status flushed = made->opened.handle->flush(world.request());
  made->opened.handle->release();
  if (code == 0 && !flushed) code = flushed.error().code;
  return code;
}

TEST_CASE("A document that is no text is refused and the old one stays") {
  TreeWorld world;
  std::size_t seen = 0;
  for (const RowAt& row : document_rows(world, true)) {
    if (belongs_to_the_dead(world, row)) continue;
    for (const std::string& path : documents_below(world, row.path)) {
      const std::string before = world.read(path);
      const std::uint64_t head = world.head();
      for (const std::string& garbage : {"\xff\xfe = 1\n"s, std::string(2UL << 20U, 'x')}) {
        INFO(path << ": " << text::shown(garbage));
        const int code = world.write(path, garbage);
        CHECK((code == EBADMSG || code == EMSGSIZE));
        REQUIRE_FALSE(world.errors().empty());
        CHECK_THAT(world.errors().back(), has(errno_name(code)) && has(name_of(path)));
        CHECK(world.read(path) == before);
        CHECK(world.head() == head);
      }
      ++seen;
    }
  }
  CHECK(seen >= 3);  // two models and a text of a context
}

TEST_CASE("A document with a NUL in it is refused") {
  TreeWorld world;
  for (const RowAt& row : document_rows(world, true)) {
    if (belongs_to_the_dead(world, row)) continue;
    for (const std::string& path : documents_below(world, row.path)) {
      INFO(path);
      const std::string before = world.read(path);
      CHECK(world.write(path, "a\0b\n"s) == EBADMSG);
      CHECK(world.read(path) == before);
    }
  }
}

TEST_CASE("Settings that are not valid are refused with their line, by write and by rename") {
  TreeWorld world;
  const std::string before = world.read("/etc/models/default.toml");
  const std::string bad = "driver = \"script\"\nscenario = 7\n";
  CHECK(world.write("/etc/models/default.toml", bad) == EBADMSG);
  CHECK_THAT(world.errors().back(), has("models/default.toml:2") && has("scenario"));
  CHECK(create(world, "/etc/models/.default.toml.tmp", bad) == 0);
  const vfs::NodeRef models = world.get("/etc/models");
  const Status renamed =
      models->rename(world.request(), ".default.toml.tmp", *models, "default.toml", 0);
  REQUIRE_FALSE(renamed);
  CHECK(renamed.error().code == EBADMSG);
  CHECK(world.read("/etc/models/default.toml") == before);
}

TEST_CASE("A new document that is not valid makes no file") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  CHECK(create(world, "/etc/models/fresh.toml", "drivers = \"script\"\n") == EBADMSG);
  CHECK(create(world, world.path_of(world.idle, "context.d/rules.txt"), "x\n") == EINVAL);
  CHECK(world.find("/etc/models/fresh.toml").error().code == ENOENT);
  CHECK(world.head() == head);
}

TEST_CASE("A document written back as it reads stays as it is") {
  TreeWorld world;
  for (const RowAt& row : document_rows(world, true)) {
    if (belongs_to_the_dead(world, row)) continue;
    for (const std::string& path : documents_below(world, row.path)) {
      INFO(path);
      const std::string text = world.read(path);
      CHECK(world.write(path, text) == 0);
      CHECK(world.read(path) == text);
    }
  }
}

TEST_CASE("Documents that cannot be saved are read-only") {
  TreeWorld world;
  std::size_t seen = 0;
  for (const RowAt& row : document_rows(world, false)) {
    for (const std::string& path : documents_below(world, row.path)) {
      INFO(path);
      const auto found = world.find(path);
      REQUIRE(found);
      CHECK((found->attributes.st_mode & 0777U) == 0444U);
      CHECK(world.write(path, "x\n") == EACCES);
      const vfs::NodeRef directory = world.get(parent_of(path));
      CHECK_FALSE(directory->unlink(world.request(), name_of(path)));
      CHECK(world.find(path));
      ++seen;
    }
  }
  CHECK(seen > 10);
}

}  // namespace
}  // namespace agentfs::test
