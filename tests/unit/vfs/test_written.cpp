// SPDX-License-Identifier: MIT
// Control, setting, reply and message files: what a write does.
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "support/temporary.h"
#include "test_tree.h"

namespace agentfs::vfs {
namespace {

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a command runs in the write that completes its line") {
  TestTree tree;
  TestRequest shell(10);
  const auto ctl = tree.open(shell, "/boxes/7/ctl", O_WRONLY);
  CHECK(TestTree::write(shell, *ctl, 0, "go") == 0);
  CHECK(world().box()->commands.empty());
  CHECK(TestTree::write(shell, *ctl, 2, " 1\n# a comment\n\ngo 2\ngo ") == 0);
  CHECK(world().box()->commands == Lines{"go 1", "go 2"});
  TestRequest child(11);
  CHECK(ctl->flush(child));  // a child that dies in the middle of the line
  CHECK(TestTree::write(shell, *ctl, 26, "3") == 0);
  CHECK(ctl->flush(shell));
  CHECK(world().box()->commands == Lines{"go 1", "go 2", "go 3"});
  CHECK(tree.services.records ==
        Lines{"/boxes/7/ctl: go 1", "/boxes/7/ctl: go 2", "/boxes/7/ctl: go 3"});
}

TEST_CASE("a failing command stops its write, leaves nothing and is told") {
  TestTree tree;
  TestRequest shell(10);
  const auto ctl = tree.open(shell, "/boxes/7/ctl", O_WRONLY);
  CHECK(TestTree::write(shell, *ctl, 0, "go 1\nleap\ngo 2\ngo") == EINVAL);
  CHECK(world().box()->commands == Lines{"go 1"});
  REQUIRE(tree.services.errors.size() == 1);
  CHECK_THAT(tree.services.errors[0], Catch::Matchers::has("EINVAL /boxes/7/ctl leap"));
  CHECK(TestTree::write(shell, *ctl, 0, "go 4\n") == 0);
  CHECK(TestTree::write(shell, *ctl, 9, "go 5\n") == EINVAL);
  CHECK(TestTree::write(shell, *ctl, 0, "go 5\n") == EINVAL);
  CHECK(TestTree::write(shell, *ctl, 5, "go 5\n") == 0);
  for (const std::string bad : {"go", "go x", "go 1 2", "go 99999999999"}) {
    CHECK(tree.save(shell, "/boxes/7/ctl", bad + "\n") == EINVAL);
  }
  CHECK(tree.save(shell, "/boxes/7/ctl", std::string_view("go\0 1\n", 6)) == EINVAL);
  CHECK(tree.save(shell, "/boxes/7/ctl", "go \xff\n") == EINVAL);
  CHECK(tree.save(shell, "/boxes/7/ctl", fmt::format("{:x<1048576}\n", "")) == EMSGSIZE);
  CHECK(world().box()->commands == Lines{"go 1", "go 4", "go 5"});
}

// `exec 3>ctl; printf 'go ' >&3`: the shell closes a copy of what it keeps. A directory of the test
// stands for the mount, since the copy is found by its path.
TEST_CASE("an opener that keeps a copy of its descriptor has not closed it") {
  TestTree tree;
  TestRequest shell(::getpid());
  const test::TemporaryDirectory mount;
  REQUIRE(std::filesystem::create_directories(mount.path("boxes/7")));
  const auto keep = [&](const char* name) {
    const std::string path = mount.path("boxes/7/") + name;
    return UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  };
  UniqueFd kept = keep("ctl");
  const auto ctl = tree.open(shell, "/boxes/7/ctl", O_WRONLY);
  CHECK(TestTree::write(shell, *ctl, 0, "go ") == 0);
  CHECK(ctl->flush(shell));
  CHECK(TestTree::write(shell, *ctl, 3, "1\ngo 2") == 0);
  CHECK(ctl->flush(shell));
  CHECK(world().box()->commands == Lines{"go 1"});
  ctl->release();  // closed by the copy
  CHECK(world().box()->commands == Lines{"go 1", "go 2"});

  kept = keep("chat");
  const auto chat = tree.open(shell, "/boxes/7/chat", O_WRONLY);
  CHECK(TestTree::write(shell, *chat, 0, "fix ") == 0);
  CHECK(chat->flush(shell));
  CHECK(world().box()->messages.empty());
  kept = UniqueFd();
  CHECK(TestTree::write(shell, *chat, 4, "it\n") == 0);
  CHECK(chat->flush(shell));
  CHECK(world().box()->messages == Lines{"fix it\n"});
}

TEST_CASE("an unterminated line of a reading descriptor is dropped and told") {
  TestTree tree;
  TestRequest shell(10);
  const auto ctl = tree.open(shell, "/boxes/7/ctl", O_RDWR);
  CHECK(TestTree::write(shell, *ctl, 0, "go 1") == 0);
  CHECK(ctl->flush(shell));
  ctl->release();
  CHECK(world().box()->commands.empty());
  REQUIRE(tree.services.errors.size() == 1);
  CHECK_THAT(tree.services.errors[0], Catch::Matchers::has("no newline"));
}

TEST_CASE("a control file reads as comments that can be written back") {
  TestTree tree;
  TestRequest shell(10);
  CHECK(tree.save(shell, "/boxes/7/ctl", "fork\n") == 0);
  const std::string text = tree.read(shell, "/boxes/7/ctl");
  CHECK_THAT(text, Catch::Matchers::has("# go TIMES  Goes on.\n"));
  CHECK_THAT(text, Catch::Matchers::has("# last: fork\n# 8\n"));
  CHECK(tree.save(shell, "/boxes/7/ctl", text) == 0);
  CHECK(tree.read(shell, "/boxes/7/ctl") == text);
  TestRequest stranger(20, "s2");
  CHECK_THAT(tree.read(stranger, "/boxes/7/ctl"), !Catch::Matchers::has("last"));
  SetAttributes wanted{.which = SetAttributes::size | SetAttributes::mode};
  CHECK(tree.get(shell, "/boxes/7/ctl").node->set_attributes(shell, nullptr, wanted));
}

TEST_CASE("a setting takes its value with and without a newline") {
  TestTree tree;
  TestRequest shell(10);
  CHECK(tree.save(shell, "/boxes/7/level", "2\n") == 0);
  CHECK(tree.read(shell, "/boxes/7/level") == "2\n");
  CHECK(tree.save(shell, "/boxes/7/level", "3") == 0);
  CHECK(tree.read(shell, "/boxes/7/level") == "3\n");
  CHECK(tree.save(shell, "/boxes/7/level", "high") == EINVAL);
  CHECK(tree.read(shell, "/boxes/7/level") == "3\n");
}

TEST_CASE("a reply is read from the descriptor, from wherever its reader stands") {
  TestTree tree;
  TestRequest shell(10);
  const auto ask = tree.open(shell, "/boxes/7/ask", O_RDWR);
  CHECK_THAT(*TestTree::read(shell, *ask, 0), Catch::Matchers::has("usage: a WORD"));
  CHECK(TestTree::write(shell, *ask, 0, "hello\n") == 0);
  CHECK(*TestTree::read(shell, *ask, 6, 3) == "<he");
  CHECK(*TestTree::read(shell, *ask, 9) == "llo>\n");
  CHECK(TestTree::read(shell, *ask, 14)->empty());
  CHECK(*TestTree::read(shell, *ask, 0) == "<hello>\n");  // seek(0): a new origin
  CHECK(TestTree::write(shell, *ask, 8, "fail\n") == EREMOTEIO);
  CHECK(*TestTree::read(shell, *ask, 0) == "<hello>\n");  // outlives the failed write
  CHECK(TestTree::write(shell, *ask, 8, "a\nb\n") == 0);
  CHECK(*TestTree::read(shell, *ask, 12) == "<a>\n<b>\n");
  ask->release();
}

TEST_CASE("the last reply stands for its session, and for its tag") {
  TestTree tree;
  TestRequest shell(10);
  TestRequest later(11);
  TestRequest stranger(12, "s2");
  CHECK(tree.save(shell, "/boxes/7/ask", "one") == 0);  // no newline: runs at the close
  CHECK(tree.read(later, "/boxes/7/ask") == "<one>\n");
  CHECK_THAT(tree.read(stranger, "/boxes/7/ask"), Catch::Matchers::has("usage"));
  CHECK(tree.save(later, "/boxes/7/ask", "<one>\n") == 0);  // written back: no request
  CHECK(tree.read(later, "/boxes/7/ask") == "<one>\n");
  CHECK(tree.save(shell, "/boxes/7/ask@t.1", "two\n") == 0);
  CHECK(tree.read(stranger, "/boxes/7/ask@t.1") == "<two>\n");
  CHECK(tree.read(shell, "/boxes/7/ask") == "<one>\n");
  CHECK(code(tree.find(shell, "/boxes/7/ask@")) == ENOENT);
  CHECK(code(tree.find(shell, "/boxes/7/ask@a b")) == ENOENT);
  CHECK(code(tree.find(shell, "/boxes/7/ctl@a")) == ENOENT);
  CHECK(tree.get(shell, "/boxes/7/ask").node != tree.get(later, "/boxes/7/ask").node);
}

TEST_CASE("a request parks its write, and an interrupt ends it") {
  TestTree tree;
  TestRequest shell(10);
  const auto ask = tree.open(shell, "/boxes/7/ask", O_RDWR);
  std::optional<Result<std::size_t>> answer;
  const auto start = [&](std::string_view words) {
    answer.reset();
    Completion<std::size_t> done([&](Result<std::size_t> count) { answer = std::move(count); });
    ask->write(shell, 0, words, done);
    return done;
  };
  start("park\nnext\n");
  CHECK_FALSE(answer.has_value());
  auto parked = world().box()->requests.at(0).second;
  parked.complete(std::string("late\n"));
  REQUIRE(answer.has_value());
  CHECK(**answer == 10);
  CHECK(*TestTree::read(shell, *ask, 10) == "late\n<next>\n");

  const auto done = start("park\nnext\n");
  bool told = false;
  world().box()->requests.at(1).second.on_cancel([&] { told = true; });
  done.cancel();
  REQUIRE(answer.has_value());
  CHECK(code(*answer) == EINTR);
  CHECK(told);
  CHECK(*TestTree::read(shell, *ask, 10) == "late\n<next>\n");
}

TEST_CASE("many short requests in one write do not nest") {
  TestTree tree;
  TestRequest shell(10);
  std::string words;
  for (int i = 0; i < 50'000; ++i) words += "x\n";
  const auto ask = tree.open(shell, "/boxes/7/ask", O_RDWR);
  CHECK(TestTree::write(shell, *ask, 0, words) == 0);
}

TEST_CASE("a message is what one descriptor wrote, delivered at the opener's close") {
  TestTree tree;
  TestRequest shell(10);
  TestRequest child(11);
  const auto chat = tree.open(shell, "/boxes/7/chat", O_WRONLY | O_APPEND);
  CHECK(chat->flush(shell));
  CHECK(TestTree::write(shell, *chat, 0, "fix \xc3") == 0);
  CHECK(TestTree::write(shell, *chat, 5, "\xa4 it\n") == 0);
  CHECK(chat->flush(child));
  CHECK(world().box()->messages.empty());
  CHECK(chat->flush(shell));
  CHECK(world().box()->messages == Lines{"fix \xc3\xa4 it\n"});
  CHECK(chat->flush(shell));
  CHECK(TestTree::write(child, *chat, 11, "more") == 0);
  chat->release();
  CHECK(world().box()->messages == Lines{"fix \xc3\xa4 it\n", "more"});

  const std::string all = tree.read(shell, "/boxes/7/chat");
  CHECK(tree.save(shell, "/boxes/7/chat", all) == 0);  // an editor that changed nothing
  CHECK(tree.save(shell, "/boxes/7/chat", all + "and this\n") == 0);
  CHECK(world().box()->messages.back() == "and this\n");
  CHECK(world().box()->messages.size() == 3);
}

TEST_CASE("a message that cannot be one is refused in its write") {
  TestTree tree;
  TestRequest shell(10);
  CHECK(tree.save(shell, "/boxes/7/chat", std::string_view("a\0b", 3)) == EINVAL);
  CHECK(tree.save(shell, "/boxes/7/chat", "\xff") == EINVAL);
  CHECK(tree.save(shell, "/boxes/7/chat", std::string((1U << 20U) + 1, 'x')) == EMSGSIZE);
  CHECK(tree.save(shell, "/boxes/7/chat", "cut \xc3") == EINVAL);  // at the close
  const auto chat = tree.open(shell, "/boxes/7/chat", O_WRONLY);
  world().box()->dead = true;
  CHECK(TestTree::write(shell, *chat, 0, "x") == ESRCH);
  CHECK(tree.save(shell, "/boxes/7/chat", "x") == ESRCH);
  world().reap("7");
  CHECK(TestTree::write(shell, *chat, 0, "x") == ESRCH);
  CHECK(world().boxes.empty());
  CHECK(tree.services.errors.size() == 7);
}

TEST_CASE("an operation on a reaped object's descriptor is ESRCH") {
  TestTree tree;
  TestRequest shell(10);
  const auto ctl = tree.open(shell, "/boxes/7/ctl", O_RDWR);
  const auto ask = tree.open(shell, "/boxes/7/ask", O_RDWR);
  world().reap("7");
  CHECK(TestTree::write(shell, *ctl, 0, "go 1\n") == ESRCH);
  CHECK(code(TestTree::read(shell, *ctl, 0)) == ESRCH);
  CHECK(TestTree::write(shell, *ask, 0, "x\n") == ESRCH);
}

TEST_CASE("a descriptor that acts by its writer is written by who has opened it alone") {
  TestTree tree;
  TestRequest shell(10);
  shell.host_.uid = shell.caller_.host.uid = 1000;
  shell.host_.gid = shell.caller_.host.gid = 1000;
  TestRequest set_uid(10);  // the same process, which has executed another program meanwhile
  set_uid.host_.gid = set_uid.caller_.host.gid = 1000;
  TestRequest set_gid(11);
  set_gid.host_.uid = set_gid.caller_.host.uid = 1000;
  for (TestRequest* other : {&set_uid, &set_gid}) {
    world().box()->commands.clear();
    tree.services.errors.clear();
    const auto ctl = tree.open(shell, "/boxes/7/ctl", O_WRONLY);
    CHECK(TestTree::write(shell, *ctl, 0, "go 1") == 0);
    CHECK(TestTree::write(*other, *ctl, 4, "0\n") == EPERM);
    CHECK(ctl->flush(*other));  // as it ends
    CHECK(world().box()->commands.empty());
    REQUIRE(tree.services.errors.size() == 1);
    CHECK_THAT(tree.services.errors[0], Catch::Matchers::has("who writes opens it"));
    CHECK(TestTree::write(shell, *ctl, 4, "\n") == 0);
    CHECK(world().box()->commands == Lines{"go 1"});
    ctl->release();

    const auto ask = tree.open(shell, "/boxes/7/ask", O_RDWR);
    CHECK(TestTree::write(*other, *ask, 0, "hello\n") == EPERM);
    CHECK_THAT(*TestTree::read(*other, *ask, 0), !Catch::Matchers::has("<hello>"));
    const auto chat = tree.open(shell, "/boxes/7/chat", O_WRONLY);
    CHECK(TestTree::write(shell, *chat, 0, "fix ") == 0);
    CHECK(TestTree::write(*other, *chat, 4, "it\n") == EPERM);
    CHECK(chat->flush(shell));
    chat->release();
    CHECK(world().box()->messages.empty());
  }
}

}  // namespace agentfs::vfs
