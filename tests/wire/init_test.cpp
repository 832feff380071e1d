// SPDX-License-Identifier: MIT
// What a session and the host's kernel agree on, and what it does with what it does not know.
#include <set>

#include "catch.h"
#include "fs/fuse/libfuse.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

// Requests that have no answer, or that are no requests of a mount.
const std::set<std::uint32_t> kUnanswered{FUSE_FORGET,       FUSE_BATCH_FORGET, FUSE_INTERRUPT,
                                          FUSE_NOTIFY_REPLY, FUSE_INIT,         FUSE_DESTROY};

}  // namespace

TEST_CASE("wire: INIT takes what helps and leaves what would lie") {
  Served served({.threads = 2, .initialise = false});
  const auto agreed = served.wire().init();
  REQUIRE(agreed);
  CHECK(agreed->major == FUSE_KERNEL_VERSION);
  CHECK(agreed->max_write == 1U << 20U);
  CHECK(agreed->max_pages == 256);
  const auto has = [&](unsigned flag) { return (agreed->flags & flag) != 0; };
  CHECK(has(FUSE_ATOMIC_O_TRUNC));
  CHECK(has(FUSE_BIG_WRITES));
  CHECK(has(FUSE_DO_READDIRPLUS));
  CHECK(has(FUSE_MAX_PAGES));
  CHECK_FALSE(has(FUSE_WRITEBACK_CACHE));
  CHECK_FALSE(has(FUSE_AUTO_INVAL_DATA));
  CHECK_FALSE(has(FUSE_HANDLE_KILLPRIV));
  CHECK(has(FUSE_HANDLE_KILLPRIV_V2) == fuse::tells_set_id());
  CHECK_FALSE(has(FUSE_POSIX_LOCKS));
  CHECK_FALSE(has(FUSE_FLOCK_LOCKS));
  CHECK(has(FUSE_DONT_MASK));
  CHECK_FALSE(has(FUSE_POSIX_ACL));  // there is one user
  CHECK_FALSE(has(FUSE_SPLICE_READ));
  CHECK_FALSE(has(FUSE_SPLICE_WRITE));
}

TEST_CASE("wire: a kernel that offers nothing is served all the same") {
  Served served({.threads = 2, .initialise = false});
  const auto agreed = served.wire().init(0);
  REQUIRE(agreed);
  CHECK((agreed->flags & FUSE_DO_READDIRPLUS) == 0);
  CHECK(served.read_all("/value") == "first\n");
}

TEST_CASE("wire: nothing is served before INIT, and INIT comes once") {
  Served served({.threads = 2, .initialise = false});
  CHECK(code_of(served.wire().attributes(1)) == EIO);
  REQUIRE(served.wire().init());
  CHECK(code_of(served.wire().init()) == EIO);
  CHECK(served.read_all("/value") == "first\n");
}

TEST_CASE("wire: every operation gets an answer, known or not") {
  Served served;
  const std::string zeros(256, '\0');
  std::vector<std::uint32_t> opcodes{100, 4095, 4096, 0x7FFFFFFF, 0xFFFFFFFF};
  for (std::uint32_t opcode = 1; opcode < 64; ++opcode) {
    if (!kUnanswered.contains(opcode)) opcodes.push_back(opcode);
  }
  for (const std::uint32_t opcode : opcodes) {
    for (const std::uint64_t node : {std::uint64_t{1}, std::uint64_t{987654321}}) {
      CAPTURE(opcode, node);
      CHECK(code_of(served.wire().call(opcode, node, zeros)) != ETIMEDOUT);
    }
  }
  CHECK(served.read_all("/value") == "first\n");
}

// The kernel never asks again, for the whole mount, for what was once answered with ENOSYS.
TEST_CASE("wire: ENOSYS is said only of what the session does not have") {
  Served served;
  const std::string zeros(256, '\0');
  const std::set<std::uint32_t> missing{FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW, FUSE_BMAP, FUSE_IOCTL};
  for (std::uint32_t opcode = 1; opcode <= FUSE_COPY_FILE_RANGE; ++opcode) {
    if (kUnanswered.contains(opcode) || opcode == 7 || opcode == 19) continue;
    CAPTURE(opcode);
    const int code = code_of(served.wire().call(opcode, 1, zeros));
    CHECK((code == ENOSYS) == missing.contains(opcode));
  }
}

TEST_CASE("wire: a channel that breaks ends run() with an error") {
  Served served;
  REQUIRE(served.wire().send_raw("not a header"));
  const Status outcome = served.session->close();
  CHECK(code_of(outcome) == EIO);
}

TEST_CASE("wire: a mountpoint that is none is told") {
  FakeServices services;
  World world;
  vfs::FileSystemParts parts;
  parts.services = &services;
  parts.root = &world_root();
  vfs::FileSystem files(std::move(parts));
  fuse::SessionOptions options;
  options.mountpoint = "/proc/self/no-such-directory";
  const auto mounted = fuse::Session::mount(files, services, options);
  REQUIRE_FALSE(mounted);
  CHECK(mounted.error().code > 0);
  CHECK_THAT(mounted.error().message, Catch::Matchers::has(options.mountpoint));
  options.options = {"no_such_option_of_fuse"};
  CHECK(code_of(fuse::Session::mount(files, services, options)) == EINVAL);
}

TEST_CASE("wire: a session that is stopped before it runs does not run") {
  FakeServices services;
  World world;
  vfs::FileSystemParts parts;
  parts.services = &services;
  parts.root = &world_root();
  vfs::FileSystem files(std::move(parts));
  for (int round = 0; round < 20; ++round) {
    WireSession session(files, services, 2);
    session.stop();
  }
}

}  // namespace agentfs::test
