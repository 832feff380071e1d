// SPDX-License-Identifier: MIT
// Control, setting, message and reply files, as the tools of a shell write them.
#include <fcntl.h>
#include <unistd.h>

#include <set>

#include "catch.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

using Lines = std::vector<std::string>;

// What the contract lets a synthetic file answer.
const std::set<int> kVocabulary{
    0,       ENOENT,    ESRCH,  EINVAL,  EACCES,   EPERM,     ETIMEDOUT,    EAGAIN,
    EBUSY,   ESTALE,    EDQUOT, ENOSPC,  EMSGSIZE, EEXIST,    ENOTEMPTY,    ENOTDIR,
    EISDIR,  EROFS,     EXDEV,  ENOTSUP, EINTR,    EHOSTDOWN, EHOSTUNREACH, EKEYREJECTED,
    EBADMSG, EREMOTEIO, EBADF,  ENODATA, ENXIO,    ELOOP};

}  // namespace

// echo say hello > ctl
TEST_CASE("wire: bash's open, flush, write, flush, release is one command") {
  Served served;
  auto place = served.open("/ctl", O_WRONLY | O_TRUNC);
  REQUIRE(served.wire().flush(place));
  CHECK(served.world.done().empty());
  CHECK(served.wire().write(place, "say hello\n").value_or(0) == 10);
  CHECK(served.world.done() == Lines{"say hello"});
  REQUIRE(served.wire().flush(place));
  REQUIRE(served.wire().release(place));
  CHECK(served.world.done() == Lines{"say hello"});
}

TEST_CASE("wire: a line without its newline runs when its opener closes, and only then") {
  Served served;
  const Bystander child;
  const auto place = served.open("/ctl", O_WRONLY);
  REQUIRE(served.wire().write(place, "say half"));
  served.wire().caller.pid = child.pid();
  REQUIRE(served.wire().flush(place));
  CHECK(served.world.done().empty());
  served.wire().caller.pid = ::getpid();
  REQUIRE(served.wire().write({place.node, place.handle, 8, place.flags}, " a line"));
  REQUIRE(served.wire().flush(place));
  CHECK(served.world.done() == Lines{"say half a line"});
  REQUIRE(served.wire().release(place));
  CHECK(served.world.done().size() == 1);
}

TEST_CASE("wire: what nobody ended is dropped and told") {
  Served served;
  const auto place = served.open("/ctl", O_RDWR);
  REQUIRE(served.wire().write(place, "say half"));
  REQUIRE(served.wire().release(place));
  CHECK(served.world.done().empty());
  CHECK(served.services.errors().size() == 1);
}

TEST_CASE("wire: a command that fails fails the write, and leaves the descriptor open") {
  Served served;
  const auto place = served.open("/ctl", O_RDWR);
  CHECK(code_of(served.wire().write(place, "refuse\n")) == EPERM);
  CHECK(code_of(served.wire().write(place, "no-such-verb\n")) == EINVAL);
  REQUIRE(served.services.errors().size() == 2);
  CHECK_THAT(served.services.errors()[0], Catch::Matchers::has("refuse: asked to"));
  CHECK(code_of(served.wire().write(place, "say on\n")) == 0);
  CHECK(served.world.done() == Lines{"say on"});
}

TEST_CASE("wire: a write-only descriptor takes no gap and no overlap") {
  Served served;
  const auto at = [](WireKernel::Place place, std::uint64_t offset) {
    place.offset = offset;
    return place;
  };
  const auto place = served.open("/ctl", O_WRONLY);
  REQUIRE(served.wire().write(at(place, 40), "say a\n"));
  CHECK(code_of(served.wire().write(at(place, 50), "say gap\n")) == EINVAL);
  CHECK(code_of(served.wire().write(at(place, 40), "say overlap\n")) == EINVAL);
  CHECK(code_of(served.wire().write(at(place, 46), "say b\n")) == 0);
  CHECK(served.world.done() == Lines{"say a", "say b"});
}

TEST_CASE("wire: truncating a control file, by any way, does nothing") {
  Served served;
  const auto place = served.open("/ctl", O_WRONLY | O_TRUNC);
  fuse_setattr_in wanted{};
  wanted.valid = FATTR_SIZE;
  REQUIRE(served.wire().set_attributes(place.node, wanted));
  wanted.valid = FATTR_SIZE | FATTR_FH;
  wanted.fh = place.handle;
  REQUIRE(served.wire().set_attributes(place.node, wanted));
  REQUIRE(served.wire().write(place, "say hello\n"));
  CHECK(served.world.done() == Lines{"say hello"});
  wanted.valid = FATTR_SIZE;
  CHECK(code_of(served.wire().set_attributes(served.open("/value").node, wanted)) != 0);
}

TEST_CASE("wire: two writers' pieces do not mix") {
  Served served;
  auto first = served.open("/ctl", O_WRONLY);
  auto second = served.open("/ctl", O_WRONLY);
  REQUIRE(served.wire().write(first, "say fi"));
  REQUIRE(served.wire().write(second, "say sec"));
  first.offset = 6;
  second.offset = 7;
  REQUIRE(served.wire().write(first, "rst\nsay "));
  REQUIRE(served.wire().write(second, "ond\n"));
  first.offset = 14;
  REQUIRE(served.wire().write(first, "again\n"));
  CHECK(served.world.done() == Lines{"say first", "say second", "say again"});
}

TEST_CASE("wire: a command that is too long is EMSGSIZE, in one write or many") {
  Served served;
  auto place = served.open("/ctl", O_WRONLY);
  CHECK(code_of(served.wire().write(place, std::string(1U << 20U, 'x'))) == EMSGSIZE);
  auto pieces = served.open("/ctl", O_WRONLY);
  int code = 0;
  for (int i = 0; i < 40 && code == 0; ++i) {
    code = code_of(served.wire().write(pieces, std::string(4096, 'x')));
    pieces.offset += 4096;
  }
  CHECK(code == EMSGSIZE);
  CHECK(pieces.offset > 60'000);
  CHECK(code_of(served.wire().write(served.open("/ctl", O_WRONLY), "say short\n")) == 0);
  CHECK(served.world.done() == Lines{"say short"});
}

TEST_CASE("wire: a reply begins where the first read after the request stands") {
  Served served;
  auto place = served.open("/answer", O_RDWR);
  REQUIRE(served.wire().write(place, "now\n"));
  place.offset = 4;
  CHECK(served.wire().read(place, 3).value_or("") == "at ");
  place.offset = 7;
  CHECK(served.wire().read(place).value_or("") == "once\n");
  place.offset = 12;
  CHECK(served.wire().read(place).value_or("x").empty());
  REQUIRE(served.wire().write(place, "now\n"));
  place.offset = 16;
  CHECK(served.wire().read(place).value_or("") == "at once\n");
  place.offset = 0;  // seek(0)
  CHECK(served.wire().read(place).value_or("") == "at once\n");
}

TEST_CASE("wire: a message is delivered when its opener closes it, once") {
  Served served;
  const Bystander child;
  auto place = served.open("/message", O_WRONLY | O_TRUNC);
  REQUIRE(served.wire().flush(place));
  REQUIRE(served.wire().write(place, "one\n"));
  served.wire().caller.pid = child.pid();
  REQUIRE(served.wire().flush(place));
  CHECK(served.world.done().empty());
  served.wire().caller.pid = ::getpid();
  place.offset = 4;
  REQUIRE(served.wire().write(place, "two\n"));
  REQUIRE(served.wire().flush(place));
  CHECK(served.world.done() == Lines{"message one\ntwo\n"});
  REQUIRE(served.wire().release(place));
  CHECK(served.world.done().size() == 1);
}

TEST_CASE("wire: a setting is set by a line, and what it refuses changes nothing") {
  Served served;
  const auto place = served.open("/setting", O_WRONLY | O_TRUNC);
  REQUIRE(served.wire().write(place, "warm\n"));
  CHECK(served.world.value() == "warm\n");
  CHECK(code_of(served.wire().write(served.open("/setting", O_WRONLY), "bad\n")) == EINVAL);
  CHECK(served.read_all("/setting") == "warm\n");
}

TEST_CASE("wire: every errno of a synthetic file is a word of the contract") {
  Served served;
  served.world.add_thing("one");
  const std::string zeros(256, '\0');
  for (const char* const path : {"/", "/value", "/setting", "/ctl", "/answer", "/message", "/wait",
                                 "/events", "/link", "/one", "/one/name", "/README"}) {
    const auto entry = served.wire().walk(path);
    REQUIRE(code_of(entry) == 0);
    for (std::uint32_t opcode = 1; opcode <= FUSE_COPY_FILE_RANGE; ++opcode) {
      const bool is_asked = (opcode > 2 && opcode < 26 && opcode != 7 && opcode != 19) ||
                            (opcode > 26 && opcode < 31) || opcode == FUSE_ACCESS ||
                            opcode == FUSE_CREATE || opcode > FUSE_BATCH_FORGET;
      if (!is_asked) continue;
      CAPTURE(path, opcode);
      const auto answer = served.wire().call(opcode, entry->nodeid, zeros);
      CHECK(kVocabulary.contains(code_of(answer)));
    }
    for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC | O_APPEND}) {
      CAPTURE(path, flags);
      const auto opened = served.wire().open(entry->nodeid, flags);
      CHECK(kVocabulary.contains(code_of(opened)));
      if (!opened) continue;
      const WireKernel::Place place{
          .node = entry->nodeid, .handle = opened->fh, .offset = 3, .flags = flags | O_NONBLOCK};
      CHECK(kVocabulary.contains(code_of(served.wire().read(place))));
      CHECK(kVocabulary.contains(code_of(served.wire().write(place, "\xff\0rubbish\n"))));
      CHECK(kVocabulary.contains(code_of(served.wire().seek(place, SEEK_HOLE))));
      CHECK(kVocabulary.contains(code_of(served.wire().allocate(place, 5))));
      CHECK(kVocabulary.contains(code_of(served.wire().fsync(place))));
      CHECK(kVocabulary.contains(code_of(served.wire().poll(place, 0))));
      CHECK(code_of(served.wire().release(place)) == 0);
    }
  }
}

}  // namespace agentfs::test
