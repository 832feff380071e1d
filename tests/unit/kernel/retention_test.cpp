// SPDX-License-Identifier: MIT
// Which old contents go, and how many may be known.
#include "kernel/retention.h"

#include <algorithm>
#include <ranges>
#include <set>

#include "catch.h"
#include "kernel/history_keeper.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
const KnownOfVersions kNothing{[](const FileVersion&) { return false; }, nullptr};

// Ten bytes each, of the minute that is their number; odd ones are in a directory that is ignored.
std::vector<FileVersionRef> some_versions(std::uint64_t count) {
  std::vector<FileVersionRef> all;
  for (std::uint64_t number = 1; number <= count; ++number) {
    FileVersion v;
    v.number = number;
    v.path = number % 2 == 1 ? "/w/s/out/f" : "/w/s/f";
    v.time = static_cast<std::int64_t>(number);
    v.held = 10;
    all.push_back(std::make_shared<const FileVersion>(std::move(v)));
  }
  return all;
}

std::string gone(const std::vector<FileVersionRef>& all, const Retention& limits) {
  std::string out;
  for (const Outlived& one :
       outlived(all, limits, {[](const auto& v) { return v.path.contains("/out/"); }, nullptr})) {
    out += fmt::format("{}{} ", one.version->number, one.reason[0]);
  }
  return out;
}

TEST_CASE("What there is no room for by itself goes alone") {
  auto all = some_versions(8);
  FileVersion large = *all[5];
  large.held = 81;
  all[5] = std::make_shared<const FileVersion>(std::move(large));
  CHECK(gone(all, {.bytes = 80, .ignored_bytes = 40}) == "6s ");
}

TEST_CASE("What is ignored has its own days and room, and is the first to go") {
  const auto all = some_versions(8);
  const Retention roomy{.before = 0, .bytes = 80, .ignored_before = 0, .ignored_bytes = 40};
  CHECK(gone(all, roomy) == "");
  Retention limits = roomy;
  limits.before = 2;
  CHECK(gone(all, limits) == "1a 2a ");
  limits.ignored_before = 6;
  CHECK(gone(all, limits) == "1a 2a 3i 5i ");
  limits = roomy;
  limits.ignored_bytes = 20;
  CHECK(gone(all, limits) == "1i 3i ");
  limits = roomy;
  limits.bytes = 50;
  CHECK(gone(all, limits) == "1s 3s 5s ");
  limits.bytes = 25;
  CHECK(gone(all, limits) == "1s 3s 5s 7s 2s 4s ");
  limits = roomy;
  limits.files = 5;
  CHECK(gone(all, limits) == "1s 3s 5s ");
  limits.files = 0;
  CHECK(gone(all, limits) == "1s 3s 5s 7s 2s 4s 6s 8s ");
  limits = roomy;
  limits.memory = 3 * HistoryAmount::of(*all[1]).memory;
  CHECK(gone(all, limits) == "1s 3s 5s 7s 2s ");
}

// Of `count` versions the first ones are of uid 1001's files, the others of 1002's.
std::vector<FileVersionRef> of_two_users(std::uint64_t count, std::uint64_t of_first) {
  auto all = some_versions(count);
  for (std::uint64_t at = 0; at < count; ++at) {
    FileVersion mine = *all[at];
    mine.uid = at < of_first ? 1'001 : 1'002;
    all[at] = std::make_shared<const FileVersion>(std::move(mine));
  }
  return all;
}

TEST_CASE("Who keeps more than an equal share loses what is beyond it, and nobody else anything") {
  const Retention limits{.bytes = 60, .ignored_bytes = 1'000};
  CHECK(gone(of_two_users(10, 2), limits) == "3s 5s 7s 9s ");
  CHECK(gone(of_two_users(10, 8), limits) == "1s 3s 5s 7s ");
  CHECK(gone(of_two_users(10, 5), limits) == "1s 3s 7s 9s ");
  CHECK(gone(of_two_users(10, 2), {.bytes = 1'000, .ignored_bytes = 30}) == "3i 5i ");
  CHECK(gone(of_two_users(10, 2), {.bytes = 1'000, .files = 3, .ignored_bytes = 1'000}) ==
        "3s 5s 7s 9s 4s 6s 8s ");
}

TEST_CASE("Of two that keep too much one alone loses, where that does") {
  auto all = of_two_users(2, 1);
  for (auto& one : all) {
    FileVersion large = *one;
    large.held = 60;
    one = std::make_shared<const FileVersion>(std::move(large));
  }
  CHECK(gone(all, {.bytes = 100, .ignored_bytes = 1'000}) == "1s ");
}

// Of a database that is written in place each second, of one text that was changed twice, and of
// another that was removed long before.
std::vector<FileVersionRef> beside_a_database(std::uint64_t seconds) {
  std::vector<FileVersionRef> all;
  const auto add = [&](const char* path, std::int64_t time, std::uint64_t held, bool in_trash) {
    FileVersion v;
    v.number = all.size() + 1;
    v.path = path;
    v.time = time * kSecond;
    v.held = held;
    v.in_trash = in_trash;
    all.push_back(std::make_shared<const FileVersion>(std::move(v)));
  };
  add("/w/s/removed", 1, 10, true);
  add("/w/s/text", 2, 10, false);
  add("/w/s/text", 3, 10, false);
  for (std::uint64_t i = 0; i < seconds; ++i) {
    add("/w/s/db", 1'000 + static_cast<std::int64_t>(i), 1'000, false);
  }
  return all;
}

// What stays of the database, in seconds before `now`, newest first; and that the rest does.
std::vector<std::int64_t> ages_of_what_stays(const std::vector<FileVersionRef>& all,
                                             const Retention& limits) {
  std::set<std::uint64_t> went;
  for (const Outlived& one : outlived(all, limits, kNothing)) {
    went.insert(one.version->number);
  }
  std::vector<std::int64_t> ages;
  for (const FileVersionRef& one : all | std::views::reverse) {
    const bool is_database = one->path == "/w/s/db";
    if (!is_database) CHECK_FALSE(went.contains(one->number));
    if (is_database && !went.contains(one->number)) {
      ages.push_back((limits.now - one->time) / kSecond);
    }
  }
  return ages;
}

TEST_CASE("What is written again and again goes before what was changed once") {
  const auto all = beside_a_database(1'000);
  const Retention limits{.now = 2'000 * kSecond, .bytes = 30'030, .ignored_bytes = ~0ULL};
  const auto ages = ages_of_what_stays(all, limits);
  REQUIRE(ages.size() == 30);
  CHECK(ages.front() == 1);  // the newest
  CHECK(ages.back() > 500);  // and some of long ago
  CHECK(ages[1] - ages[0] <= 1);
  const Retention few{.now = limits.now, .bytes = 12'030, .ignored_bytes = ~0ULL};
  const auto wide = ages_of_what_stays(all, few);
  REQUIRE(wide.size() == 12);
  CHECK(wide.front() == 1);
}

TEST_CASE("What a removed name comes back as stays where others are thinned") {
  const auto all = beside_a_database(1'000);
  const Retention limits{.now = 2'000 * kSecond, .bytes = 30'030, .ignored_bytes = ~0ULL};
  for (const std::uint64_t number : {200U, 500U, 700U}) {
    const auto has_names = [&](const FileVersion& one) { return one.number == number; };
    const auto gone = outlived(all, limits, {kNothing.is_ignored, has_names});
    CHECK(gone.size() == 970);
    CHECK(std::ranges::none_of(gone,
                               [&](const Outlived& one) { return one.version->number == number; }));
  }
}

TEST_CASE("Where thinning does not do, the oldest go") {
  const auto all = beside_a_database(100);
  const Retention limits{.now = 2'000 * kSecond, .bytes = 1'005, .ignored_bytes = ~0ULL};
  const auto gone = outlived(all, limits, kNothing);
  REQUIRE(gone.size() == all.size() - 1);
  CHECK(std::ranges::none_of(gone, [&](const Outlived& one) { return one.version == all.back(); }));
}

TEST_CASE("A clock that went back has nothing go that would have stayed") {
  const auto all = beside_a_database(10);
  const Retention limits{.now = 500 * kSecond, .bytes = 10'030, .ignored_bytes = ~0ULL};
  CHECK(outlived(all, limits, kNothing).empty());
  const Retention less{.now = 500 * kSecond, .bytes = 9'030, .ignored_bytes = ~0ULL};
  CHECK(outlived(all, less, kNothing).size() == 4);
}

// A link that is removed leaves nothing on the disk.
void remove_links(TestKernel& t, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t number = first; number < first + count; ++number) {
    const json::Value kept =
        json::Object{{"number", number}, {"type", "link"}, {"target", "somewhere"}, {"mode", 0777}};
    const std::string path = fmt::format("/workspaces/site/l{}", number);
    REQUIRE(t.commit("tree.remove", json::Object{{"path", path}, {"kept", kept}}));
  }
}

std::size_t known(TestKernel& t) {
  std::size_t count = 0;
  t.kernel().look_at_history([&](const History& history) { count = history.all().size(); });
  return count;
}

TEST_CASE("What has no bytes on the disk is bounded by the memory that it takes") {
  TestKernel t;
  REQUIRE(t.kernel().configuration().save("history.toml", "index_bytes = 100000\n"));
  remove_links(t, 1, 60);
  CHECK(t.kernel().history().empty() == 0);
  CHECK_FALSE(t.kernel().history().overflows());
  remove_links(t, 61, 240);
  CHECK(t.kernel().history().overflows());
  CHECK(must(t.kernel().history().empty()) > 100);
  CHECK(known(t) > 60);
  CHECK_FALSE(t.kernel().history().overflows());
  CHECK(t.kernel().history().empty() == 0);
  t.kernel().look_at_history([&](const History& history) {
    CHECK(history.find(300) != nullptr);
    CHECK(history.find(1) == nullptr);
  });
}

}  // namespace
}  // namespace agentfs::test
