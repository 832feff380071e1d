// SPDX-License-Identifier: MIT
// Changes of documents that were acknowledged and not made: by truncate(2), of a text that is
// empty, and by a temporary file's descriptor after its rename onto a document.
#include <fcntl.h>

#include "catch.h"
#include "support/must.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using namespace std::string_literals;

TEST_CASE("A text of a context may be empty, and truncate(2) is saved at once") {
  TreeWorld world;
  const std::string path = world.path_of(world.idle, "context.d/rules.md");
  REQUIRE(world.write(path, "one\n") == 0);
  for (const off_t size : {2, 0}) {
    SetAttributes cut{.which = SetAttributes::size};
    cut.values.st_size = size;
    REQUIRE(world.get(path)->set_attributes(world.request(), nullptr, cut));
    CHECK(world.read(path) == std::string("one\n").substr(0, static_cast<std::size_t>(size)));
  }
  const vfs::NodeRef texts = world.get(parent_of(path));
  const auto made = must(texts->create(world.request(), "new.md", O_WRONLY | O_CREAT, 0644));
  REQUIRE(made.opened.handle->flush(world.request()));
  made.opened.handle->release();
  CHECK(world.find(parent_of(path) + "/new.md"));
  world.restart();
  CHECK(world.read(path).empty());
  REQUIRE(world.get(parent_of(path))->unlink(world.request(), "new.md"));
  CHECK_FALSE(world.find(parent_of(path) + "/new.md"));
}

TEST_CASE("What is written to a temporary file after its rename onto a document is refused") {
  TreeWorld world;
  const std::string path = world.path_of(world.idle, "context.d");
  const vfs::NodeRef texts = world.get(path);
  const auto made = must(texts->create(world.request(), "x.md.tmp", O_WRONLY | O_CREAT, 0644));
  vfs::Handle& temporary = *made.opened.handle;
  CHECK(write_once(world.request(), temporary, "\0bad"s) == 0);
  CHECK_FALSE(texts->rename(world.request(), "x.md.tmp", *texts, "x.md", 0));
  CHECK(write_once(world.request(), temporary, "two\n") == 0);  // refused there: it can be mended
  REQUIRE(texts->rename(world.request(), "x.md.tmp", *texts, "x.md", 0));
  CHECK(write_once(world.request(), temporary, "three\n") == ESTALE);
  CHECK(world.read(path + "/x.md") == "two\n");
}

}  // namespace
}  // namespace agentfs::test
