// SPDX-License-Identifier: MIT
// A restore looked at what was missing once, before its first step, and put what it brought back
// over what somebody had made there since, made what was another's by then a second name of what it
// brought back, and began once more after a crash, over what had been done to it before.
#include <sys/stat.h>

#include "catch.h"
#include "support/restores.h"

namespace agentfs::test {
namespace {

RestoreStep missing(const std::string& name) {
  RestoreStep step{.path = kTop + "/" + name, .mode = S_IFREG | 0644};
  step.is_missing = true;
  return step;
}

TEST_CASE("What is made while a directory comes back stays, and the restore says so") {
  TreeWorld world;
  RestoreCourse course;
  course.reached = [&](std::size_t done) {
    if (done == 2) write(world, "b", "mine");
  };
  const std::vector<RestoreStep> steps{
      {.path = kTop, .mode = S_IFDIR | 0755}, missing("a"), missing("b"), missing("c")};
  REQUIRE(world.files().restore(world.request().caller(), steps, course));
  CHECK(text_of(world, "a").empty());
  CHECK(text_of(world, "b") == "mine");
  CHECK(text_of(world, "c").empty());
  CHECK(course.left == std::vector<std::string>{kTop + "/b"});
}

TEST_CASE("A further name of a file comes back as that, whatever has its first one by then") {
  TreeWorld world;
  RestoreStep second = missing("z");
  second.other = kTop + "/a";
  std::vector<RestoreStep> steps{
      {.path = kTop, .mode = S_IFDIR | 0755}, missing("a"), second, second};
  steps[3].path = kTop + "/zz";
  RestoreCourse course;
  bool is_replaced = false;
  course.reached = [&](std::size_t done) {
    if (done != 2 || !is_replaced) return;
    write(world, "new", "mine, new");
    REQUIRE(world.get(kTop)->rename(world.request(), "new", *world.get(kTop), "a", 0));
  };
  SECTION("it is the same") {}
  SECTION("it is another's") { is_replaced = true; }
  const auto restored = world.files().restore(world.request().caller(), steps, course);
  CHECK((restored ? "" : restored.error().message) == std::string());
  const auto inode = [&](const char* name) {
    return world.find(kTop + "/" + name)->attributes.st_ino;
  };
  CHECK((inode("a") == inode("z")) == !is_replaced);
  CHECK(inode("z") == inode("zz"));
  CHECK(text_of(world, "a") == (is_replaced ? "mine, new" : ""));
  CHECK(text_of(world, "z").empty());
}

TEST_CASE("What had come back before a crash is its user's by then") {
  TreeWorld world;
  RestoreOrder order;
  order.steps = {{.path = kTop, .mode = S_IFDIR | 0750, .is_again = true},
                 missing("written"),
                 missing("removed"),
                 missing("came"),
                 missing("made")};
  order.by = StoredCaller::of(world.request().caller());
  write(world, "written", "mine");
  write(world, "made", "mine, too");
  std::string reached;
  std::string left;
  SECTION("three steps were done") {
    reached = RestoreOrder::reached_line(2) + RestoreOrder::reached_line(3);
  }
  SECTION("the last line is cut") { reached = RestoreOrder::reached_line(3) + "4"; }
  SECTION("how many is not known") { left = "removed"; }
  resume(world, order, reached);
  CHECK(text_of(world, "written") == "mine");
  CHECK(world.find(kTop + "/removed").has_value() == !left.empty());
  CHECK(text_of(world, "came").empty());
  CHECK(text_of(world, "made") == "mine, too");
  CHECK((world.find(kTop)->attributes.st_mode & 07777U) == 0750);
}

TEST_CASE("A start brings back what has a way, and finishes the directories above") {
  TreeWorld world;
  vfs::Request& request = world.request();
  REQUIRE(world.get("/workspaces/site")->make_directory(request, "d", 0700));
  REQUIRE(world.files().write(request.caller(), kTop + "/sub", "a file by now"));
  RestoreOrder order;
  order.steps = {{.path = kTop, .mode = S_IFDIR | 0750, .is_again = true},
                 {.path = kTop + "/a", .mode = S_IFREG | 0644},
                 {.path = kTop + "/sub", .mode = S_IFDIR | 0755},
                 {.path = kTop + "/sub/b", .mode = S_IFREG | 0644},
                 {.path = kTop + "/z", .mode = S_IFREG | 0644}};
  order.by = StoredCaller::of(request.caller());
  resume(world, order);
  CHECK((world.find(kTop)->attributes.st_mode & 07777U) == 0750);
  CHECK(world.find(kTop + "/a"));
  CHECK(world.find(kTop + "/z"));
  CHECK(text_of(world, "sub") == "a file by now");
}

}  // namespace
}  // namespace agentfs::test
