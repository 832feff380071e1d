// SPDX-License-Identifier: MIT
// What retention or `drop` took while a directory came back was lost for good: the restore had
// looked at its versions, and read each when its turn came. Of one that a kill cut short the next
// start forgot what was over the limit, and told nobody what could not come back.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "catch.h"
#include "kernel/history_keeper.h"
#include "kernel/versions_in_use.h"
#include "support/restores.h"

namespace agentfs::test {
namespace {

std::string name_of(int i) { return fmt::format("f{}", i); }
std::string text_of(int i) { return fmt::format("the text of {}", i); }

constexpr int kFiles = 8;

// d with f0 to f7, and z, which is a second name of f0.
void make_and_remove(TreeWorld& world) {
  vfs::Request& request = world.request();
  REQUIRE(world.get(kSite)->make_directory(request, "d", 0750));
  for (int i = 0; i < kFiles; ++i) write(world, name_of(i), text_of(i));
  const auto top = world.get(kTop);
  REQUIRE(top->link(request, *world.get(kTop + "/f0"), "z"));
  for (int i = 0; i < kFiles; ++i) REQUIRE(top->unlink(request, name_of(i)));
  REQUIRE(top->unlink(request, "z"));
  REQUIRE(world.get(kSite)->remove_directory(request, "d"));
}

// Called once, on a thread of its own, while a restore has made some of what comes back.
template <class Act>
Result<std::string> restore_beside(TreeWorld& world, const Act& act) {
  int rows = 0;
  const auto subscription = world.kernel().subscribe([&](const Record&, ProcessId) {
    if (++rows == 2) std::jthread([&] { act(); }).join();
  });
  auto restored =
      world.kernel().history().restore(world.request().caller(), kSite, "d", std::nullopt);
  world.kernel().unsubscribe(subscription);
  CHECK(rows > 2);
  return restored;
}

void check_that_all_is_there(TreeWorld& world) {
  for (int i = 0; i < kFiles; ++i) CHECK(test::text_of(world, name_of(i)) == text_of(i));
  CHECK(test::text_of(world, "z") == text_of(0));
}

Result<std::size_t> empty_all(TreeWorld& world) {
  REQUIRE(world.kernel().configuration().save("history.toml", "share = 0.0\n"));
  return world.kernel().history().empty();
}

std::string error_of(const Result<std::string>& answer) {
  return answer ? "" : answer.error().message;
}

TEST_CASE("What is more than history may hold goes once a restore has brought it back") {
  TreeWorld world;
  make_and_remove(world);
  const auto restored = restore_beside(world, [&] { CHECK(empty_all(world)); });
  CHECK(error_of(restored).empty());
  check_that_all_is_there(world);
  CHECK(world.kernel().history().empty().value_or(0) > 0);
  world.kernel().look_at_history([](const History& h) { CHECK(h.amount().files == 0); });
}

TEST_CASE("History gives way on a full disk, but for what is being restored") {
  TreeWorld world;
  make_and_remove(world);
  const auto restored = restore_beside(world, [&] {
    while (world.kernel().history().give_way().value_or(0) != 0) {
    }
  });
  CHECK(error_of(restored).empty());
  check_that_all_is_there(world);
}

TEST_CASE("What is being restored is not dropped, and the sentence says when it can be") {
  TreeWorld world;
  make_and_remove(world);
  Result<std::string> dropped;
  const auto restored = restore_beside(world, [&] {
    dropped = world.kernel().history().forget(world.request().caller(), kSite, "d", std::nullopt);
  });
  CHECK(error_of(restored).empty());
  check_that_all_is_there(world);
  REQUIRE_FALSE(dropped);
  CHECK(dropped.error().code == EBUSY);
  CHECK_THAT(dropped.error().message, Catch::Matchers::has("once that has ended `drop` would do"));
  CHECK(world.kernel().history().forget(world.request().caller(), kSite, "d", std::nullopt));
}

TEST_CASE("A version is brought back or forgotten, whichever was begun first") {
  VersionsInUse in_use;
  VersionsInUse::Numbers kept{1, 2};
  VersionsInUse::Numbers forgotten{2, 3};
  VersionsInUse::Numbers again{1, 2, 3};
  Hold keeping = in_use.keep(kept);
  Hold forgetting = in_use.forget(forgotten);
  CHECK(forgotten == VersionsInUse::Numbers{3});
  const Hold second = in_use.keep(again);
  CHECK(again == VersionsInUse::Numbers{1, 2});
  keeping.reset();
  forgetting.reset();
  VersionsInUse::Numbers later{1, 2, 3};
  const Hold last = in_use.forget(later);
  CHECK(later == VersionsInUse::Numbers{3});
}

// As a kill leaves it: ordered, with nothing done.
void order_all(TreeWorld& world) {
  RestoreOrder order;
  order.steps = {{.path = kTop, .mode = S_IFDIR | 0750, .is_again = true}};
  world.kernel().look_at_history([&](const History& history) {
    for (int i = 0; i < kFiles; ++i) {
      const auto version = history.trashed(kTop + "/" + name_of(i));
      const auto whole = history.whole(version);
      order.steps.push_back({.path = version->path, .mode = S_IFREG | 0644, .is_missing = true});
      order.steps.back().content = whole->stored();
    }
  });
  order.steps.push_back(
      {.path = kTop + "/z", .mode = S_IFREG | 0644, .other = kTop + "/f0", .is_missing = true});
  order.by = StoredCaller::of(world.request().caller());
  const std::string place = world.kernel().parts().state + "/restores";
  REQUIRE(file::make_directories(place, 0700));
  REQUIRE(file::replace(place + "/order", order.text(), 0600));
}

TEST_CASE("A start forgets nothing of a restore that it has to end") {
  TreeWorld world;
  make_and_remove(world);
  order_all(world);
  world.restart();
  CHECK(empty_all(world));
  resume_restores(world.kernel());
  check_that_all_is_there(world);
  CHECK(world.kernel().history().empty().value_or(0) > 0);
}

TEST_CASE("What of a restore a start cannot end is told, and the rest comes back") {
  TreeWorld world;
  make_and_remove(world);
  order_all(world);
  FileVersionRef lost;
  world.kernel().look_at_history([&](const History& h) { lost = h.trashed(kTop + "/f3"); });
  REQUIRE(world.kernel().parts().past->drop(lost->stored()));
  resume_restores(world.kernel());
  for (int i = 0; i < kFiles; ++i) {
    if (i != 3) CHECK(test::text_of(world, name_of(i)) == text_of(i));
  }
  CHECK((world.find(kTop)->attributes.st_mode & 07777U) == 0750);
  const auto errors = world.errors();
  REQUIRE_FALSE(errors.empty());
  CHECK_THAT(errors.back(), Catch::Matchers::has(kTop + "/f3"));
  CHECK_THAT(errors.back(), Catch::Matchers::has("nothing of what it held is kept any more"));
}

TEST_CASE("A restore that has lost what it reads does not say that all comes with the next") {
  TreeWorld world;
  make_and_remove(world);
  FileVersionRef lost;
  world.kernel().look_at_history([&](const History& h) { lost = h.trashed(kTop + "/f3"); });
  const auto restored =
      restore_beside(world, [&] { CHECK(world.kernel().parts().past->drop(lost->stored())); });
  REQUIRE_FALSE(restored);
  CHECK_THAT(restored.error().message, Catch::Matchers::has("f3"));
  CHECK_THAT(restored.error().message,
             Catch::Matchers::has("what else is missing can be restored by its own path"));
}

}  // namespace
}  // namespace agentfs::test
