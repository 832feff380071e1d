// SPDX-License-Identifier: MIT
// A descriptor of a document held the text of its open, or of a stat before that, and saved all of
// it at its close: what another had saved since was lost, without an error to anybody.
#include <fcntl.h>

#include "catch.h"
#include "support/must.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

struct Documents : TreeWorld {
  Documents() : appender(request().caller()) {
    appender.open_to_append();
    REQUIRE(write(path, "one\n") == 0);
  }
  std::shared_ptr<vfs::Handle> open(const vfs::NodeRef& node, int flags) {
    return must(node->open(request(), flags)).handle;
  }
  int append(vfs::Handle& handle, std::string_view text) {
    return write_once(appender, handle, text);
  }
  Status close(vfs::Handle& handle) {
    const Status flushed = handle.flush(request());
    handle.release();
    return flushed;
  }

  const std::string path = path_of(idle, "context.d/rules.md");
  LocalCaller appender;
};

TEST_CASE("What is appended to a document goes behind what another has saved since") {
  Documents world;
  const vfs::NodeRef looked_up = world.get(world.path);
  REQUIRE(world.write(world.path, "one\ntwo\n") == 0);
  const auto handle = world.open(looked_up, O_WRONLY | O_APPEND);
  REQUIRE(world.write(world.path, "one\ntwo\nthree\n") == 0);
  CHECK(world.append(*handle, "four\n") == 0);
  REQUIRE(world.close(*handle));
  CHECK(world.read(world.path) == "one\ntwo\nthree\nfour\n");
}

TEST_CASE("Two descriptors that append to a document lose nothing, however often each is synced") {
  Documents world;
  const auto a = world.open(world.get(world.path), O_WRONLY | O_APPEND);
  const auto b = world.open(world.get(world.path), O_WRONLY | O_APPEND);
  for (const char* const text : {"1\n", "2\n"}) {
    CHECK(world.append(*a, text) == 0);
    REQUIRE(a->fsync(world.request(), false));
    CHECK(world.append(*b, text) == 0);
    REQUIRE(b->fsync(world.request(), false));
  }
  REQUIRE(world.close(*a));
  REQUIRE(world.close(*b));
  CHECK(world.read(world.path) == "one\n1\n1\n2\n2\n");
}

TEST_CASE("A document that another has saved since the open is not written over in place") {
  Documents world;
  const auto handle = world.open(world.get(world.path), O_RDWR);
  REQUIRE(world.write(world.path, "another\n") == 0);
  CHECK(write_once(world.request(), *handle, "mine") == 0);
  CHECK(world.close(*handle).error().code == ESTALE);
  CHECK_THAT(world.errors().back(), Catch::Matchers::has("another has saved it"));
  CHECK(world.read(world.path) == "another\n");

  const auto cut = world.open(world.get(world.path), O_WRONLY | O_TRUNC);
  REQUIRE(world.write(world.path, "once more\n") == 0);
  CHECK(write_once(world.request(), *cut, "mine\n") == 0);
  REQUIRE(world.close(*cut));
  CHECK(world.read(world.path) == "mine\n");
}

// Saved, it would be the tail of a text of which the rest is gone.
TEST_CASE("What is appended to a document that was removed since does not bring it back") {
  Documents world;
  REQUIRE(world.write(world.path, "rule one\nrule two") == 0);
  const auto handle = world.open(world.get(world.path), O_WRONLY | O_APPEND);
  REQUIRE(world.get(parent_of(world.path))->unlink(world.request(), name_of(world.path)));
  CHECK(world.append(*handle, "two\n") == 0);
  CHECK(world.close(*handle).error().code == ESTALE);
  CHECK_THAT(world.errors().back(), Catch::Matchers::has("was removed since it was opened"));
  CHECK(world.find(world.path).error().code == ENOENT);
}

}  // namespace
}  // namespace agentfs::test
