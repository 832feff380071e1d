// SPDX-License-Identifier: MIT
// Generations against a plain model, and through the fold; what processes have seen.
#include "kernel/generations.h"

#include <random>

#include "base/hash.h"
#include "catch.h"
#include "kernel/fold.h"
#include "kernel/sightings.h"
#include "kernel/stale_writes.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

// The same by paths in a map: slow, and plain to see.
class Model {
 public:
  struct Known {
    std::uint64_t number = 0;
    std::uint64_t process = 0;
    std::uint64_t other = 0;
  };
  void change(const std::string& path, std::uint64_t number, std::uint64_t process) {
    Known& known = all_[path];
    if (known.process != process) known.other = known.number;
    known.number = number;
    known.process = process;
  }
  void remove(const std::string& path) {
    std::erase_if(all_, [&](const auto& one) { return is_in(one.first, path); });
  }
  void move(const std::string& from, const std::string& to, std::uint64_t number,
            std::uint64_t process) {
    const Known replaced = all_[to];
    const auto old = all_;
    remove(from);
    remove(to);
    for (const auto& [path, known] : old) {
      if (is_in(path, from)) all_[to + path.substr(from.size())] = known;
    }
    all_[to] = replaced;
    change(to, number, process);
  }
  std::uint64_t of(const std::string& path) const {
    std::uint64_t newest = 0;
    for (const auto& [one, known] : all_) {
      if (is_in(path, one)) newest = std::max(newest, known.number);
    }
    return newest;
  }
  std::uint64_t by_other(const std::string& path, std::uint64_t process) const {
    std::uint64_t newest = 0;
    for (const auto& [one, known] : all_) {
      const std::uint64_t its = known.process == process ? known.other : known.number;
      if (is_in(path, one)) newest = std::max(newest, its);
    }
    return newest;
  }

 private:
  static bool is_in(const std::string& path, const std::string& above) {
    return path == above || path.starts_with(above + "/");
  }
  std::map<std::string, Known> all_;
};

Generation by(Generations& all, std::uint64_t number, std::uint64_t process) {
  return {.number = {number},
          .time = 5,
          .writer = all.writer({process}, fmt::format("{}<root", process))};
}

std::vector<std::string> some_paths() {
  std::vector<std::string> paths;
  for (const std::string a : {"a", "b", "c"}) {
    paths.push_back("/workspaces/w/" + a);
    for (const std::string b : {"d", "e"}) {
      paths.push_back(fmt::format("/workspaces/w/{}/{}", a, b));
      for (const std::string f : {"f", "g"}) {
        paths.push_back(fmt::format("/workspaces/w/{}/{}/{}", a, b, f));
      }
    }
  }
  return paths;
}

Generations reloaded(const Generations& all) {
  Generations loaded;
  for (Generations::Id id = 0; id < 1000; ++id) {
    if (const auto* entry = all.find(id)) loaded.load(id, entry->to_json());
  }
  loaded.finish_load();
  return loaded;
}

void step(std::mt19937& random, Generations& all, Model& model, std::uint64_t number) {
  const auto paths = some_paths();
  const std::string& path = paths[random() % paths.size()];
  const std::string& other = paths[random() % paths.size()];
  const std::uint64_t process = 1 + random() % 3;
  switch (random() % 4) {
    case 0:
      all.remove(path, by(all, number, process));
      model.remove(path);
      break;
    case 1:
      // As the disk has it: nothing into itself, and nothing that is not there.
      if (other.starts_with(path) || path.starts_with(other) || model.of(path) == 0) break;
      all.change(path, by(all, number, process));
      model.change(path, number, process);
      all.move(path, other, by(all, number + 1, process));
      model.move(path, other, number + 1, process);
      break;
    default:
      all.change(path, by(all, number, process));
      model.change(path, number, process);
  }
}

TEST_CASE("generations are what a plain map of paths says, also when they were stored") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    Generations all;
    Model model;
    for (std::uint64_t number = 1; number < 120; number += 2) {
      step(random, all, model, number);
      if (number % 20 == 1) all = reloaded(all);
      for (const std::string& path : some_paths()) {
        INFO("seed " << seed << ", step " << number << ", " << path);
        REQUIRE(all.of(path).number.value == model.of(path));
        REQUIRE(all.changed_by_other(path, {2}).value == model.by_other(path, 2));
      }
    }
  }
}

TEST_CASE("a repository is one entry, whatever changes in it") {
  Generations all;
  all.change("/workspaces/w/.git/objects/ab/cdef", by(all, 5, 1));
  all.change("/workspaces/w/.git/index", by(all, 6, 1));
  all.move("/workspaces/w/.git/index.lock", "/workspaces/w/.git/index", by(all, 7, 1));
  all.remove("/workspaces/w/.git/objects/ab/cdef", by(all, 8, 1));
  CHECK(all.of("/workspaces/w/.git/HEAD").number == Sequence{8});
  CHECK(all.of("/workspaces/w/a").number == Sequence{});
  CHECK(all.names() == 3);
}

TEST_CASE("two names that change places are both changed, with what is below them") {
  Generations all;
  all.change("/home/u/a/x", by(all, 3, 1));
  all.change("/home/u/b", by(all, 4, 1));
  all.exchange("/home/u/a", "/home/u/b", by(all, 9, 2));
  CHECK(all.of("/home/u/b/x").number == Sequence{9});
  CHECK(all.of("/home/u/a").number == Sequence{9});
  CHECK(all.changed_by_other("/home/u/b/x", {2}) == Sequence{4});
}

TEST_CASE("when a name was made or renamed to stays known, whatever is written to it since") {
  const auto at = [](std::uint64_t number, std::int64_t named = 0) {
    return Generation{.number = {number}, .time = 5, .named = named};
  };
  Generations all;
  all.change("/home/u/a", at(1, 100));
  all.change("/home/u/a", at(2));
  CHECK(all.named("/home/u/a") == 100);
  CHECK(all.named("/home/u/b") == 0);
  all.change("/home/u/b", at(3, 300));
  all.move("/home/u/a", "/home/u/b", at(4, 400));
  CHECK(all.named("/home/u/b") == 400);
  CHECK(all.named("/home/u/a") == 0);
  all.change("/home/u/c", at(5, 500));
  all.exchange("/home/u/b", "/home/u/c", at(6, 600));
  all.change("/home/u/c", at(7));
  CHECK(reloaded(all).named("/home/u/b") == 600);
  CHECK(reloaded(all).named("/home/u/c") == 600);
  all.remove("/home/u/c", at(8));
  CHECK(all.named("/home/u/c") == 0);
}

TEST_CASE("a name that goes into itself, or takes the place of what it lay in, is known once") {
  Generations all;
  all.change("/home/u/a", by(all, 3, 1));
  all.move("/home/u/a", "/home/u/a/b", by(all, 4, 1));
  CHECK(all.of("/home/u/a/b").number == Sequence{4});
  all.change("/home/u/d/e", by(all, 5, 1));
  all.move("/home/u/d/e", "/home/u/d", by(all, 6, 1));
  CHECK(all.of("/home/u/d").number == Sequence{6});
  all.remove("/home/u", by(all, 7, 1));
  CHECK(all.names() == 1);
  CHECK(reloaded(all).names() == 1);
}

TEST_CASE("beyond the limit the older names get a number that is greater, never a smaller one") {
  Generations all(100);
  for (std::uint64_t number = 1; number <= 1'000; ++number) {
    all.change(fmt::format("/workspaces/w/f{}", number), by(all, number, 1));
  }
  CHECK(all.names() <= 101);
  CHECK(all.of("/workspaces/w/f1000").number == Sequence{1'000});
  for (std::uint64_t number = 1; number <= 1'000; ++number) {
    REQUIRE(all.of(fmt::format("/workspaces/w/f{}", number)).number.value >= number);
  }
  CHECK(reloaded(all).of("/workspaces/w/f1").number == all.of("/workspaces/w/f1").number);
}

TEST_CASE("the fold knows which records change what a name holds") {
  TestKernel t;
  const std::string path = "/workspaces/site/a";
  const auto now = [&] { return t.kernel().stale_writes().generation(path)->number; };
  REQUIRE(t.commit("tree.create", json::Object{{"path", path}}));
  const std::uint64_t made = now();
  for (const char* kind : {"tree.open", "tree.attributes", "tree.xattr"}) {
    REQUIRE(t.commit(kind, json::Object{{"path", path}, {"name", "user.x"}}));
  }
  CHECK(now() == made);
  REQUIRE(t.commit("tree.write", json::Object{{"path", path}}));
  CHECK(now() > made);
  json::Object cut{{"path", "/workspaces/site/b"}, {"other", path}, {"of", "rename"}};
  const std::uint64_t told = now();
  REQUIRE(t.commit("tree.interrupted", cut));
  CHECK(now() == told);  // as builds before this one wrote it
  cut.emplace_back("generation", true);
  REQUIRE(t.commit("tree.interrupted", cut));
  CHECK(now() > told);
  const std::uint64_t written = now();
  REQUIRE(t.commit("tree.rollback", json::Object{{"path", "/workspaces/site"}}));
  CHECK(now() > written);
  const std::uint64_t rolled_back = now();
  CHECK(t.kernel().stale_writes().generation(path)->writer.find("root") != std::string::npos);
  CHECK_FALSE(t.kernel().stale_writes().generation("/tmp/a"));
  REQUIRE(t.stop_and_start());
  CHECK(now() == rolled_back);
  t.stop();
  REQUIRE(t.store->clear());
  REQUIRE(t.start());
  CHECK(now() == rolled_back);
}

TEST_CASE("a process knows the newest paths that it has seen, and forgets the oldest") {
  Sightings seen;
  for (std::uint64_t i = 1; i <= 3 * Sightings::kMost; ++i) {
    seen.note({7}, fmt::format("/workspaces/w/{}", i), {.sequence = {i}});
  }
  const std::uint64_t last = 3 * Sightings::kMost;
  for (std::uint64_t i = last - Sightings::kMost + 1; i <= last; ++i) {
    REQUIRE(seen.find({7}, fmt::format("/workspaces/w/{}", i))->sequence == Sequence{i});
  }
  CHECK_FALSE(seen.find({7}, "/workspaces/w/1"));
  CHECK_FALSE(seen.find({8}, fmt::format("/workspaces/w/{}", last)));
  seen.forget({7});
  CHECK_FALSE(seen.find({7}, fmt::format("/workspaces/w/{}", last)));
}

}  // namespace
}  // namespace agentfs::test
