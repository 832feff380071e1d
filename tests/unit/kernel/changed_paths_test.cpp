// SPDX-License-Identifier: MIT
// What has changed is told, each path or the directory it is in, however many there are.
#include "kernel/changed_paths.h"

#include <algorithm>
#include <random>

#include "catch.h"
#include "kernel/fold.h"

namespace agentfs {
namespace {

using Told = ChangedPaths::Edits;

bool is_told(const Told& told, const std::string& path, Sequence since) {
  const auto found = told.find(path);
  return found != told.end() && found->second.sequence >= since;
}

bool is_same(const Told& one, const Told& other) {
  return one.size() == other.size() && std::ranges::all_of(one, [&](const auto& edit) {
           const auto found = other.find(edit.first);
           return found != other.end() && found->second.sequence == edit.second.sequence &&
                  found->second.author == edit.second.author;
         });
}

// As a store gives them back, in no order of age.
ChangedPaths loaded(const Told& told, std::size_t most) {
  ChangedPaths changed(most);
  for (const auto& [path, edit] : told) CHECK(changed.note(path, edit).empty());
  return changed;
}

TEST_CASE("no changed path is forgotten, and the newest are told one by one") {
  constexpr std::size_t kMost = 40;
  std::mt19937 random(GENERATE(range(1u, 9u)));
  const auto pick = [&](unsigned below) { return random() % below; };
  ChangedPaths changed(kMost);
  ChangedPaths stored(kMost);
  Told last;
  for (std::uint64_t record = 1; record <= 2'000; ++record) {
    std::string path = "top" + std::to_string(pick(7));
    if (pick(5) != 0) path += "/d" + std::to_string(pick(6)) + "/f" + std::to_string(pick(9));
    const PathEdit edit{{record}, {1 + pick(3)}};
    changed.note(path, edit);
    stored.note(path, edit);
    last[path] = edit;
    if (record % 97 == 0) stored = loaded(stored.all(), kMost);
  }
  for (const std::uint64_t record : {0u, 1u, 1'000u, 1'970u, 2'000u, 3'000u}) {
    Told since;
    for (const auto& [path, edit] : changed.all()) {
      if (edit.sequence.value > record) since.emplace(path, edit);
    }
    const auto found = changed.since({record});
    CHECK(std::ranges::is_sorted(found, {}, [](const auto& one) { return one.first; }));
    CHECK(is_same(Told(found.begin(), found.end()), since));
  }
  std::vector<std::pair<Sequence, std::string>> newest;
  for (const auto& [path, edit] : last) {
    INFO(path << ", record " << edit.sequence.value);
    const bool is_itself = is_told(changed.all(), path, edit.sequence);
    CHECK((is_itself || is_told(changed.all(), ChangedPaths::top_of(path), edit.sequence)));
    if (path.contains('/')) newest.emplace_back(edit.sequence, path);
  }
  std::ranges::sort(newest, std::greater{});
  REQUIRE(newest.size() > kMost);
  for (std::size_t i = 0; i < newest.size(); ++i) {
    CHECK(changed.all().contains(newest[i].second) == (i < kMost));
  }
  CHECK(changed.all().size() <= kMost + 7);
  CHECK(is_same(changed.all(), stored.all()));
}

TEST_CASE("a directory is told with the last change of what it stands for") {
  ChangedPaths changed(2);
  CHECK(changed.note("a/one", {{1}, {7}}).empty());
  CHECK(changed.note("b/two", {{2}, {8}}).empty());
  CHECK(changed.note("a/one", {{3}, {9}}).empty());
  CHECK(changed.note("top", {{4}, {7}}).empty());
  CHECK(changed.note("c/three", {{5}, {7}}) == std::vector<std::string>{"b/two"});
  CHECK(is_same(
      changed.all(),
      {{"a/one", {{3}, {9}}}, {"b", {{2}, {8}}}, {"c/three", {{5}, {7}}}, {"top", {{4}, {7}}}}));
  CHECK(changed.note("a", {{6}, {7}}).empty());
  CHECK(changed.note("c/four", {{7}, {8}}) == std::vector<std::string>{"a/one"});
  CHECK(changed.all().at("a").sequence == Sequence{6});
}

TEST_CASE("long paths are told by their directory, as many as would take much together") {
  const std::string deep(400, 'x');
  ChangedPaths changed(100, 1'000);
  CHECK(changed.note("a/short", {{1}, {7}}).empty());
  CHECK(changed.note("b/" + deep, {{2}, {7}}).empty());
  CHECK(changed.note("c/" + deep, {{3}, {7}}).empty());
  CHECK(changed.note("c/" + deep, {{4}, {7}}).empty());
  CHECK(changed.note("d/" + deep, {{5}, {7}}) == std::vector{std::string("a/short"), "b/" + deep});
  CHECK(is_same(changed.all(), {{"a", {{1}, {7}}},
                                {"b", {{2}, {7}}},
                                {"c/" + deep, {{4}, {7}}},
                                {"d/" + deep, {{5}, {7}}}}));
  CHECK(changed.note("e/" + deep + deep + deep, {{6}, {7}}).size() == 3);
  CHECK(changed.all().at("e").sequence == Sequence{6});
  CHECK(changed.all().size() == 5);
}

Record written(std::uint64_t number, const std::string& path) {
  Record record;
  record.sequence = {number};
  record.kind = "tree.write";
  record.author.lineage = {{1}};
  record.data.set("path", path);
  return record;
}

TEST_CASE("what the store has of very many changed paths is what the fold has") {
  constexpr std::uint64_t kRecords = ChangedPaths::kMostPaths + 500;
  Fold fold;
  std::map<std::string, std::string> store;
  const auto write_out = [&] {
    for (const StoredObject& object : fold.take_dirty()) {
      if (object.collection != "change") continue;
      store.erase(object.key);
      if (auto json = object.json()) store[object.key] = *std::move(json);
    }
  };
  for (std::uint64_t i = 1; i <= kRecords; ++i) {
    fold.apply(written(i, fmt::format("/workspaces/site/src{}/{}", i % 3, i)));
    if (i % 7'000 == 0) write_out();
  }
  write_out();
  Fold again;
  for (const auto& [key, json] : store) REQUIRE(again.load("change", key, json));
  const auto told = [](const Fold& one) { return one.find_workspace("site")->changed.all(); };
  CHECK(told(fold).size() == ChangedPaths::kMostPaths + 3);
  CHECK(is_told(told(fold), "src2", {500}));
  CHECK(is_same(told(fold), told(again)));
  for (Fold* one : {&fold, &again}) one->apply(written(kRecords + 1, "/workspaces/site/src0/new"));
  CHECK(is_same(told(fold), told(again)));
}

}  // namespace
}  // namespace agentfs
