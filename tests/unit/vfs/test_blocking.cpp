// SPDX-License-Identifier: MIT
// Files that block: wait and follow.
#include <poll.h>

#include "test_tree.h"

namespace agentfs::vfs {
namespace {

struct Read {
  Read(TestRequest& request, Handle& handle, off_t offset = 0, std::size_t count = 4096) {
    done = Completion<Bytes>([this](Result<Bytes> bytes) { answer = std::move(bytes); });
    handle.read(request, offset, count, done);
  }
  std::string text() const { return answer && *answer ? (*answer)->text : "(none)"; }
  int error() const { return answer ? code(*answer) : -1; }
  Completion<Bytes> done;
  std::optional<Result<Bytes>> answer;
};

TEST_CASE("a read that comes after the release does not wait") {
  TestTree tree;
  TestRequest cat(70);
  for (const char* const path : {"/boxes/7/wait", "/boxes/7/stream"}) {
    const auto handle = tree.open(cat, path, O_RDONLY);
    handle->release();
    CHECK(code(TestTree::read(cat, *handle, 0)) == EINTR);
  }
}

// More than a follower may leave unread.
void overflow() {
  const std::string line(1023, 'x');
  for (int i = 0; i < 1100; ++i) world().box()->sink(line + "\n", false);
}

}  // namespace

TEST_CASE("wait parks until the answer, then ends") {
  TestTree tree;
  TestRequest cat(10);
  const Found found = tree.get(cat, "/boxes/7/wait");
  CHECK(found.attributes.st_size == 0);
  const Opened opened = *found.node->open(cat, O_RDONLY);
  CHECK(opened.flags.direct_io);
  Read first(cat, *opened.handle);
  Read second(cat, *opened.handle, 4);
  CHECK_FALSE(first.answer.has_value());
  REQUIRE(world().box()->waits.size() == 1);
  world().box()->waits[0].complete(std::string("done it\n"));
  CHECK(first.text() == "done it\n");
  CHECK(second.text() == " it\n");
  CHECK(Read(cat, *opened.handle, 8).text().empty());
  const auto again = tree.open(cat, "/boxes/7/wait", O_RDONLY);
  Read anew(cat, *again);
  CHECK_FALSE(anew.answer.has_value());
  again->release();
  CHECK(anew.error() == EINTR);
}

TEST_CASE("wait does not block who asked not to, and an interrupt ends it") {
  TestTree tree;
  TestRequest cat(10);
  const auto wait = tree.open(cat, "/boxes/7/wait", O_RDONLY);
  cat.blocks = false;
  CHECK(Read(cat, *wait).error() == EAGAIN);
  cat.blocks = true;
  Read parked(cat, *wait);
  parked.done.cancel();
  CHECK(parked.error() == EINTR);
  Read next(cat, *wait);  // waits anew: what was abandoned is not its answer
  REQUIRE(world().box()->waits.size() == 2);
  world().box()->waits[0].complete(std::string("old"));
  CHECK_FALSE(next.answer.has_value());
  bool ready = false;
  CHECK(*wait->poll(cat, [&] { ready = true; }) == 0);
  world().box()->waits[1].complete(std::string("new"));
  CHECK(next.text() == "new");
  CHECK(ready);
  CHECK((*wait->poll(cat, nullptr) & POLLIN) != 0);
}

TEST_CASE("wait first delivers what its own session has written") {
  TestTree tree;
  TestRequest shell(10);
  TestRequest stranger(20, "s2");
  const auto chat = tree.open(shell, "/boxes/7/chat", O_WRONLY);
  CHECK(TestTree::write(shell, *chat, 0, "hello\n") == 0);
  tree.open(stranger, "/boxes/7/wait", O_RDONLY);
  CHECK(world().box()->messages.empty());
  const auto wait = tree.open(shell, "/boxes/7/wait", O_RDONLY);
  CHECK(world().box()->messages.size() == 1);
  CHECK(TestTree::write(shell, *chat, 6, "again\n") == 0);
  const Read parked(shell, *wait);
  CHECK(world().box()->messages.size() == 2);
  wait->release();
  chat->release();
  CHECK(world().box()->messages.size() == 2);
}

TEST_CASE("follow gives what comes since the open, then ends") {
  TestTree tree;
  TestRequest cat(10);
  const auto stream = tree.open(cat, "/boxes/7/stream", O_RDONLY);
  Read parked(cat, *stream, 0, 3);
  CHECK_FALSE(parked.answer.has_value());
  bool ready = false;
  CHECK(*stream->poll(cat, [&] { ready = true; }) == 0);
  world().box()->sink("hello\n", false);
  CHECK(ready);
  CHECK(parked.text() == "hel");
  CHECK(Read(cat, *stream).text() == "lo\n");
  Read interrupted(cat, *stream);
  interrupted.done.cancel();
  CHECK(interrupted.error() == EINTR);
  world().box()->sink("kept\n", true);
  CHECK(Read(cat, *stream).text() == "kept\n");
  CHECK(Read(cat, *stream).text().empty());
  stream->release();
  CHECK(world().box()->unsubscribed);
}

// What was taken for it was lost with its answer.
TEST_CASE("an interrupt that comes when a follower's bytes are on their way loses none") {
  TestTree tree;
  TestRequest cat(10);
  const auto stream = tree.open(cat, "/boxes/7/stream", O_RDONLY);
  std::string got;
  Completion<Bytes> second([&](Result<Bytes> bytes) {
    if (bytes) got += bytes->text;
  });
  const Completion<Bytes> first([&](Result<Bytes> bytes) {
    if (bytes) got += bytes->text;
    second.cancel();
  });
  stream->read(cat, 0, 3, first);
  stream->read(cat, 0, 64, second);
  world().box()->sink("hello\n", false);
  world().box()->sink("there\n", true);
  got += Read(cat, *stream).text();
  CHECK(got == "hello\nthere\n");
}

TEST_CASE("a slow follower loses the oldest lines and is told") {
  TestTree tree;
  TestRequest cat(10);
  const auto stream = tree.open(cat, "/boxes/7/stream", O_RDONLY);
  overflow();
  const Read read(cat, *stream, 0, 64);
  CHECK_THAT(read.text(), Catch::Matchers::has("# 77824 bytes were dropped here"));
}

TEST_CASE("a slow follower has the whole of a line that it has begun") {
  TestTree tree;
  TestRequest cat(10);
  const auto stream = tree.open(cat, "/boxes/7/stream", O_RDONLY);
  world().box()->sink("the first line\n", false);
  CHECK(Read(cat, *stream, 0, 4).text() == "the ");
  overflow();
  CHECK(Read(cat, *stream, 0, 11).text() == "first line\n");
  CHECK_THAT(Read(cat, *stream, 0, 64).text(),
             Catch::Matchers::StartsWith("# 78848 bytes were dropped here"));
}

}  // namespace agentfs::vfs
