// SPDX-License-Identifier: MIT
// Two sessions that serve one file system: each has numbers, requests and an end of its own.
#include <fcntl.h>

#include "catch.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

struct Both {
  Both() : second(*one.files, one.services, 2) { REQUIRE(two().init()); }
  WireKernel& two() { return second.wire(); }
  Served one;
  WireSession second;
};

}  // namespace

TEST_CASE("wire: what one session forgets another still knows") {
  Both both;
  const auto first = both.one.wire().walk("/value");
  const auto second = both.two().walk("/value");
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->attr.ino == second->attr.ino);
  both.one.wire().forget(first->nodeid, 1);
  CHECK(eventually([&] { return code_of(both.one.wire().attributes(first->nodeid)) == ESTALE; }));
  CHECK(both.two().attributes(second->nodeid));
}

TEST_CASE("wire: a descriptor of one session is none of another") {
  Both both;
  const auto open = both.one.open("/value");
  for (int i = 0; i < 3; ++i) static_cast<void>(both.one.open("/value"));
  const auto last = both.one.open("/value");
  CHECK(code_of(both.two().read(last)) == EBADF);
  CHECK(both.one.wire().release(last));
  CHECK(both.one.wire().release(open));
}

TEST_CASE("wire: what one session writes another reads, and a change is told to both") {
  Both both;
  const auto data = both.one.wire().walk("/data");
  const auto seen = both.two().walk("/data");
  REQUIRE(data);
  REQUIRE(seen);
  const auto made = both.one.wire().create(data->nodeid, "file", O_WRONLY, 0644);
  REQUIRE(made);
  const WireKernel::Place place{.node = made->first.nodeid, .handle = made->second.fh};
  REQUIRE(both.one.wire().write(place, "hello"));
  REQUIRE(both.one.wire().release(place));
  const auto found = both.two().lookup(seen->nodeid, "file");
  REQUIRE(found);
  CHECK(found->attr.size == 5);
  Caller agent;
  agent.process = {1};
  REQUIRE(both.one.files->write(agent, "/data/file", "changed by an agent"));
  CHECK(both.one.wire().await_notification(FUSE_NOTIFY_DELETE));  // the file that they know
  CHECK(both.two().await_notification(FUSE_NOTIFY_DELETE));
}

TEST_CASE("wire: the end of a session leaves the other and its requests alone") {
  Both both;
  const auto open = both.two().walk("/value");
  REQUIRE(open);
  REQUIRE(both.two().open(open->nodeid, O_RDONLY));
  both.second.stop();
  CHECK(both.one.read_all("/value") == "first\n");
  const auto data = both.one.wire().walk("/data");
  REQUIRE(data);
  Caller agent;
  agent.process = {1};
  CHECK(both.one.files->write(agent, "/data/late", "text"));
  CHECK(both.one.wire().await_notification(FUSE_NOTIFY_INVAL_ENTRY));
}

TEST_CASE("wire: where another session serves the trees their place is one empty directory") {
  Both both;
  Caller agent;
  agent.process = {1};
  REQUIRE(both.one.files->write(agent, "/data/file", "text"));
  both.one.session->session().set_part(vfs::Part::generated);
  both.second.session().set_part(vfs::Part::trees);
  const auto covered = both.one.wire().walk("/data");
  REQUIRE(covered);
  CHECK(code_of(both.one.wire().lookup(covered->nodeid, "file")) == ENOENT);
  CHECK(code_of(both.one.wire().create(covered->nodeid, "new", O_WRONLY, 0644)) == EPERM);
  // What is mounted there would go with a node of another number.
  const auto again = both.one.wire().walk("/data");
  REQUIRE(again);
  CHECK(again->nodeid == covered->nodeid);
  const auto file = both.two().walk("/data/file");
  REQUIRE(file);
  const auto open = both.two().open(file->nodeid, O_RDONLY);
  REQUIRE(open);
  const WireKernel::Place place{.node = file->nodeid, .handle = open->fh};
  CHECK(code_of(both.two().poll(place, 7)) == ENOSYS);  // the host's kernel does not ask again
  CHECK(both.one.read_all("/value") == "first\n");
  both.one.session->session().set_part(vfs::Part::whole);
  both.one.files->trees_moved();
  CHECK(both.one.wire().await_notification(FUSE_NOTIFY_INVAL_ENTRY));
  CHECK(both.one.wire().walk("/data/file"));
}

}  // namespace agentfs::test
