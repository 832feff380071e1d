// SPDX-License-Identifier: MIT
// Node numbers, versions and handles as the host's kernel holds them.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/nanoseconds.h"
#include "catch.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

constexpr std::uint64_t kNobody = 123'456'789;
}  // namespace

TEST_CASE("wire: a node lives until as many lookups were given back as it got") {
  Served served;
  const auto entry = served.wire().lookup(1, "value");
  REQUIRE(entry);
  for (int i = 0; i < 4; ++i) {
    const auto again = served.wire().lookup(1, "value");
    REQUIRE(again);
    CHECK(again->nodeid == entry->nodeid);
  }
  served.wire().forget(entry->nodeid, 4);
  CHECK(served.wire().attributes(entry->nodeid));
  served.wire().forget(entry->nodeid, 1);
  CHECK(eventually([&] { return code_of(served.wire().attributes(entry->nodeid)) == ESTALE; }));
  served.wire().forget(entry->nodeid, 3);
  CHECK(code_of(served.wire().attributes(entry->nodeid)) == ESTALE);
  const auto later = served.wire().lookup(1, "value");
  REQUIRE(later);
  CHECK(later->nodeid != entry->nodeid);
  CHECK(later->attr.ino == entry->attr.ino);
}

TEST_CASE("wire: forgetting too much, nothing or the root harms nobody") {
  Served served;
  const auto entry = served.wire().lookup(1, "ctl");
  REQUIRE(entry);
  served.wire().forget(entry->nodeid, 1'000'000);
  served.wire().forget(entry->nodeid, 1);
  served.wire().forget(kNobody, 1);
  served.wire().forget(0, 1);
  served.wire().forget(1, 1'000'000);
  CHECK(eventually([&] { return code_of(served.wire().attributes(entry->nodeid)) == ESTALE; }));
  CHECK(served.wire().attributes(1));
  CHECK(served.read_all("/value") == "first\n");
}

TEST_CASE("wire: many nodes are forgotten at once") {
  Served served;
  std::string body;
  std::vector<std::uint64_t> nodes;
  for (const char* const name : {"value", "ctl", "link", "data"}) {
    const auto entry = served.wire().lookup(1, name);
    REQUIRE(entry);
    nodes.push_back(entry->nodeid);
    body += wire_bytes(fuse_forget_one{.nodeid = entry->nodeid, .nlookup = 1});
  }
  const fuse_batch_forget_in head{.count = 4, .dummy = 0};
  static_cast<void>(served.wire().send(FUSE_BATCH_FORGET, 0, wire_bytes(head) + body));
  for (const std::uint64_t node : nodes) {
    CHECK(eventually([&] { return code_of(served.wire().attributes(node)) == ESTALE; }));
  }
}

TEST_CASE("wire: a number that was given back names nothing, whoever gets its place") {
  Served served;
  const auto first = served.wire().lookup(1, "ctl");
  REQUIRE(first);
  served.wire().forget(first->nodeid, 1);
  REQUIRE(eventually([&] { return code_of(served.wire().attributes(first->nodeid)) == ESTALE; }));
  for (const char* const name : {"value", "link", "data", "answer"}) {
    const auto entry = served.wire().lookup(1, name);
    REQUIRE(entry);
    CHECK(entry->nodeid != first->nodeid);
  }
  CHECK(code_of(served.wire().attributes(first->nodeid)) == ESTALE);
}

TEST_CASE("wire: the bytes that stat measured are the bytes that are read") {
  Served served;
  for (int round = 0; round < 50; ++round) {
    served.world.set_value(std::string(static_cast<std::size_t>(round), 'a') + "\n");
    const auto entry = served.wire().lookup(1, "value");
    REQUIRE(entry);
    served.world.set_value(std::string(static_cast<std::size_t>(100 - round), 'b') + "\n");
    const auto opened = served.wire().open(entry->nodeid, O_RDONLY);
    REQUIRE(opened);
    const auto text = served.wire().read({.node = entry->nodeid, .handle = opened->fh});
    REQUIRE(text);
    CHECK(text->size() == entry->attr.size);
    const auto attributes = served.wire().attributes(entry->nodeid);
    REQUIRE(attributes);
    CHECK(attributes->attr.size == entry->attr.size);
  }
}

TEST_CASE("wire: each version is a node of its own with the same inode number") {
  Served served;
  served.wire().caller.pid = 0;  // nobody's sight is pinned
  const auto first = served.wire().lookup(1, "value");
  REQUIRE(first);
  served.services.fake_clock.advance(kNanoseconds);
  CHECK(served.wire().lookup(1, "value")->nodeid == first->nodeid);
  served.world.set_value("second version\n");
  const auto second = served.wire().lookup(1, "value");
  REQUIRE(second);
  CHECK(second->nodeid != first->nodeid);
  CHECK(second->attr.ino == first->attr.ino);
  CHECK(second->attr.mtime == first->attr.mtime + 1);
  CHECK(second->entry_valid == 0);
  CHECK(first->attr_valid > 0);
}

TEST_CASE("wire: a thread group sees what it has looked up for a second, until it opens it") {
  Served served;
  const Bystander other;
  const auto seen = served.wire().lookup(1, "value");
  REQUIRE(seen);
  served.world.set_value("second version\n");
  CHECK(served.wire().lookup(1, "value")->nodeid == seen->nodeid);
  served.wire().caller.pid = other.pid();
  CHECK(served.wire().lookup(1, "value")->nodeid != seen->nodeid);
  served.wire().caller.pid = ::getpid();
  CHECK(served.wire().lookup(1, "value")->nodeid == seen->nodeid);
  SECTION("until it opens") { REQUIRE(served.wire().open(seen->nodeid, O_RDONLY)); }
  SECTION("for a second") { served.services.fake_clock.advance(kNanoseconds + 1); }
  CHECK(served.wire().lookup(1, "value")->nodeid != seen->nodeid);
}

TEST_CASE("wire: threads of one process are one thread group") {
  Served served;
  const auto seen = served.wire().lookup(1, "value");
  REQUIRE(seen);
  served.world.set_value("second version\n");
  std::atomic<pid_t> number = 0;
  std::atomic<bool> asked = false;
  std::thread thread([&] {
    number = ::gettid();
    asked.wait(false);
  });
  REQUIRE(eventually([&] { return number != 0; }));
  served.wire().caller.pid = number;
  const auto again = served.wire().lookup(1, "value");
  asked = true;
  asked.notify_all();
  thread.join();
  REQUIRE(again);
  CHECK(again->nodeid == seen->nodeid);
}

TEST_CASE("wire: stale nodes are ESTALE for every operation") {
  Served served;
  const std::string zeros(256, '\0');
  for (const std::uint32_t opcode :
       {FUSE_LOOKUP,    FUSE_GETATTR,     FUSE_SETATTR, FUSE_READLINK, FUSE_SYMLINK,
        FUSE_MKNOD,     FUSE_MKDIR,       FUSE_UNLINK,  FUSE_RMDIR,    FUSE_RENAME,
        FUSE_LINK,      FUSE_OPEN,        FUSE_STATFS,  FUSE_SETXATTR, FUSE_GETXATTR,
        FUSE_LISTXATTR, FUSE_REMOVEXATTR, FUSE_OPENDIR, FUSE_READDIR,  FUSE_READDIRPLUS,
        FUSE_ACCESS,    FUSE_CREATE,      FUSE_RENAME2}) {
    CAPTURE(opcode);
    CHECK(code_of(served.wire().call(opcode, kNobody, zeros)) == ESTALE);
  }
}

TEST_CASE("wire: handles that are not open are EBADF") {
  Served served;
  auto place = served.open("/value");
  REQUIRE(served.wire().release(place));
  const std::uint64_t closed = place.handle;
  for (const std::uint64_t handle : {closed, kNobody, std::uint64_t{0}, ~std::uint64_t{0}}) {
    place.handle = handle;
    CAPTURE(handle);
    CHECK(code_of(served.wire().read(place)) == EBADF);
    CHECK(code_of(served.wire().write(place, "x")) == EBADF);
    CHECK(code_of(served.wire().flush(place)) == EBADF);
    CHECK(code_of(served.wire().fsync(place)) == EBADF);
    CHECK(code_of(served.wire().poll(place, 5)) == EBADF);
    CHECK(code_of(served.wire().seek(place, SEEK_DATA)) == EBADF);
    CHECK(code_of(served.wire().allocate(place, 10)) == EBADF);
    CHECK(code_of(served.wire().copy_range(place, place, 10)) == EBADF);
    CHECK(code_of(served.wire().list({.node = 1, .handle = handle})) == EBADF);
    fuse_setattr_in wanted{};
    wanted.valid = FATTR_FH | FATTR_SIZE;
    wanted.fh = handle;
    CHECK(code_of(served.wire().set_attributes(place.node, wanted)) == EBADF);
    CHECK(code_of(served.wire().release(place)) == 0);
  }
  CHECK(served.wire().notifications().empty());
}

TEST_CASE("wire: the wrong type of file has its own errno") {
  Served served;
  const auto value = served.open("/value");
  const auto ctl = served.open("/ctl", O_WRONLY);
  const auto root = served.wire().open_directory(1);
  REQUIRE(root);
  const WireKernel::Place directory{.node = 1, .handle = root->fh};
  CHECK(code_of(served.wire().open(1, O_RDONLY)) == EISDIR);
  CHECK(code_of(served.wire().open_directory(value.node)) == ENOTDIR);
  CHECK(code_of(served.wire().lookup(value.node, "x")) == ENOTDIR);
  CHECK(code_of(served.wire().list({.node = 1, .handle = value.handle})) == ENOTDIR);
  CHECK(code_of(served.wire().read(directory)) == EBADF);
  CHECK(code_of(served.wire().write(directory, "x")) == EBADF);
  CHECK(code_of(served.wire().write(value, "x")) == EBADF);
  CHECK(code_of(served.wire().call(FUSE_READLINK, value.node, "")) == EINVAL);
  CHECK(code_of(served.wire().open(value.node, O_WRONLY)) == EACCES);
  CHECK(code_of(served.wire().copy_range(value, ctl, 5)) == EXDEV);
  CHECK(code_of(served.wire().allocate(ctl, 5)) == ENOTSUP);
}

TEST_CASE("wire: objects that go are ENOENT by name") {
  Served served;
  served.wire().caller.pid = 0;
  served.world.add_thing("one");
  const auto thing = served.wire().walk("/one");
  REQUIRE(thing);
  REQUIRE(served.wire().lookup(thing->nodeid, "name"));
  served.world.remove_thing("one");
  CHECK(code_of(served.wire().walk("/one")) == ENOENT);
  CHECK(code_of(served.wire().lookup(thing->nodeid, "name")) == ENOENT);
}

}  // namespace agentfs::test
