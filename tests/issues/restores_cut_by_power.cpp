// SPDX-License-Identifier: MIT
// After a power cut a restore had names again whose files the disk had not been given the bytes of:
// the next start took them for done by their looks, and by the steps that were noted as done.
#include <sys/stat.h>

#include <map>

#include "base/nanoseconds.h"
#include "catch.h"
#include "kernel/history_keeper.h"
#include "support/restores.h"

namespace agentfs::test {
namespace {

ino_t inode_of(TreeWorld& world, const std::string& name) {
  return world.find(kTop + "/" + name)->attributes.st_ino;
}

// d/a, which is d/z, too, and d/b; all removed. The steps bring them back.
std::vector<RestoreStep> removed(TreeWorld& world) {
  vfs::Request& request = world.request();
  write(world, "a", "text of a");
  write(world, "b", "text of b");
  const vfs::NodeRef top = world.get(kTop);
  REQUIRE(top->link(request, *world.get(kTop + "/a"), "z"));
  for (const char* const name : {"z", "a", "b"}) REQUIRE(top->unlink(request, name));
  std::map<std::string, RestoreStep> steps;
  world.kernel().look_at_history([&](const History& history) {
    for (const auto& one : history.trashed_at_or_below(kTop)) {
      const FileVersionRef whole = history.whole(one);
      RestoreStep step{.path = one->path, .mode = S_IFREG | whole->mode};
      step.modified = whole->modified;
      step.content = whole->stored();
      step.is_missing = true;
      steps.emplace(text::last_part(one->path), step);
    }
  });
  REQUIRE(steps.size() == 3);
  steps.at("z").other = kTop + "/a";
  return {steps.at("a"), steps.at("b"), steps.at("z")};
}

// As the disk has it that was given the name and attributes, and not the bytes.
void come_back_empty(TreeWorld& world, const RestoreStep& step) {
  const std::string name(text::last_part(step.path));
  write(world, name, std::string(text_of(world, name).size(), '\0'));
  SetAttributes looks{.which = SetAttributes::mode | SetAttributes::mtime};
  looks.values.st_mode = step.mode & 07777U;
  looks.values.st_mtim = time_of(step.modified);
  REQUIRE(world.get(step.path)->set_attributes(world.request(), nullptr, looks));
}

TEST_CASE("What a power cut has emptied comes back once more, under each of its names") {
  TreeWorld world;
  RestoreOrder order;
  order.steps = removed(world);
  order.by = StoredCaller::of(world.request().caller());
  REQUIRE(world.files().restore(world.request().caller(), order.steps));
  REQUIRE(text_of(world, "a") == "text of a");
  REQUIRE(inode_of(world, "a") == inode_of(world, "z"));
  const ino_t whole = inode_of(world, "b");
  come_back_empty(world, order.steps[0]);
  REQUIRE(world.get(kTop)->unlink(world.request(), "z"));
  REQUIRE(world.get(kTop)->link(world.request(), *world.get(kTop + "/a"), "z"));
  SECTION("of another boot") {
    order.boot = "another";
    resume(world, order, RestoreOrder::reached_line(3));
    CHECK(text_of(world, "a") == "text of a");
    CHECK(inode_of(world, "a") == inode_of(world, "z"));
    CHECK(inode_of(world, "b") == whole);
  }
  SECTION("of this boot, where it is its user's work") {
    resume(world, order, RestoreOrder::reached_line(3));
    CHECK(text_of(world, "a") == std::string(9, '\0'));
  }
}

TEST_CASE("After a power cut what does not look as it was kept is its user's") {
  TreeWorld world;
  RestoreOrder order;
  order.steps = removed(world);
  order.by = StoredCaller::of(world.request().caller());
  order.boot = "another";
  write(world, "a", "mine");
  resume(world, order, RestoreOrder::reached_line(3));
  CHECK(text_of(world, "a") == "mine");
  CHECK(text_of(world, "b") == "text of b");
  CHECK(text_of(world, "z") == "text of a");
}

}  // namespace
}  // namespace agentfs::test
