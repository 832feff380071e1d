// SPDX-License-Identifier: MIT
// The feed of changes: every change once, in the journal's order, to who reads and who follows.
#include "kernel/change_feed.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/text.h"
#include "catch.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

std::vector<std::int64_t> numbers_of(std::string_view lines) {
  std::vector<std::int64_t> numbers;
  for (const std::string_view line : text::split(lines, '\n')) {
    if (!line.empty()) numbers.push_back(json::parse(line).value()["seq"].number());
  }
  return numbers;
}

void change(TestKernel& t, const std::string& kind, const std::string& path,
            const std::string& other = {}) {
  json::Object data{{"path", path}};
  if (!other.empty()) data.emplace_back("other", other);
  REQUIRE(t.commit(kind, json::Value(std::move(data))));
}

TEST_CASE("A workspace's events are its own changes, in order, with their author") {
  TestKernel t;
  change(t, "tree.create", "/workspaces/site/a");
  change(t, "tree.open", "/workspaces/site/a");
  change(t, "tree.create", "/workspaces/sites/b");
  change(t, "tree.write", "/tmp/c");
  change(t, "tree.rename", "/workspaces/sites/b", "/workspaces/site/b");
  change(t, "tree.remove", "/home/root/d");
  const ChangeFeed& feed = t.kernel().changes();
  const std::string lines = feed.text("/workspaces/site");
  const auto site = text::split(lines, '\n');
  REQUIRE(site.size() == 3);
  const json::Value made = json::parse(site[0]).value();
  CHECK(made["op"].text() == "create");
  CHECK(made["path"].text() == "/workspaces/site/a");
  CHECK_FALSE(made["user"].text().empty());
  CHECK_FALSE(made["by"].array()->empty());
  CHECK(json::parse(site[1]).value()["other"].text() == "/workspaces/site/b");
  CHECK(numbers_of(feed.text("/workspaces/sites")).size() == 2);
  CHECK(numbers_of(feed.text("/home/root")).size() == 1);
  CHECK(numbers_of(feed.text("")).size() == 4);
}

TEST_CASE("Events are resumed after a number, and are the same after a restart") {
  TestKernel t;
  for (int i = 0; i < 20; ++i) change(t, "tree.write", fmt::format("/workspaces/site/{}", i));
  const std::string before = t.kernel().changes().text("/workspaces/site");
  const auto all = numbers_of(before);
  REQUIRE(all.size() == 20);
  const Sequence tenth{static_cast<std::uint64_t>(all[9])};
  const auto rest =
      numbers_of(changes_since(t.kernel().journal(), tenth, "/workspaces/site").value());
  CHECK(rest == std::vector(all.begin() + 10, all.end()));
  REQUIRE(t.stop_and_start());
  CHECK(t.kernel().changes().text("/workspaces/site") == before);
}

TEST_CASE("Names that are not UTF-8 are told as hex beside the text") {
  TestKernel t;
  change(t, "tree.create", "/workspaces/site/a");
  Record record{.kind = "tree.create"};
  json::set_bytes(record.data, "path", "/workspaces/site/\xff");
  CHECK(json::parse(change_line(record)).value()["path_hex"].text() ==
        text::hex("/workspaces/site/\xff"));
}

TEST_CASE("Who follows is told each change once and in order, whoever makes them") {
  TestKernel t;
  ChangeFeed& feed = t.kernel().changes();
  std::string told;  // one thread tells at a time
  const auto subscription =
      feed.subscribe("/workspaces/site", [&](std::string_view lines, bool) { told += lines; }, {});
  std::atomic<int> refused = 0;
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&t, &refused, w] {
      for (int i = 0; i < 50; ++i) {
        const std::string root = i % 5 == 0 ? "/workspaces/other" : "/workspaces/site";
        const json::Object data{{"path", fmt::format("{}/{}-{}", root, w, i)}};
        if (!t.commit("tree.write", data)) ++refused;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(refused == 0);
  feed.unsubscribe(subscription);
  change(t, "tree.write", "/workspaces/site/late");
  const auto numbers = numbers_of(told);
  CHECK(numbers.size() == 4 * 40);
  CHECK(std::ranges::is_sorted(numbers));
  CHECK(std::ranges::adjacent_find(numbers) == numbers.end());
}

TEST_CASE("The feed keeps the newest lines where there are too many for its memory") {
  ChangeFeed feed;
  const std::string path = "/workspaces/site/" + std::string(4'000, 'x');
  constexpr std::uint64_t kCount = 9'000;
  for (std::uint64_t i = 1; i <= kCount; ++i) {
    feed.add({.sequence = {i}, .kind = "tree.write", .data = json::Object{{"path", path}}});
  }
  const std::string text = feed.text("");
  CHECK(text.size() <= ChangeFeed::kMostBytes);
  CHECK(numbers_of(text).back() == kCount);
  CHECK(numbers_of(text).size() > 1'000);
}

TEST_CASE("Of very many short lines the feed keeps what its memory has room for") {
  const auto used = [] { return ::mallinfo2().uordblks; };  // 0 with a sanitizer
  ChangeFeed feed;
  const std::size_t before = used();
  for (std::uint64_t i = 1; i <= 300'000; ++i) {
    feed.add({.sequence = {i},
              .kind = "tree.write",
              .data = json::Object{{"path", fmt::format("/workspaces/a-site/file-{}", i)}}});
  }
  CHECK(used() - before <= ChangeFeed::kMostBytes + ChangeFeed::kMostBytes / 4);
  CHECK(numbers_of(feed.text("")).back() == 300'000);
}

TEST_CASE("What lay ready is told as what comes of it") {
  const std::string ready = "/workspaces/site/.agentfs-0123456789ab";
  const auto line = [&](std::string kind, json::Object data) {
    return change_line({.sequence = {7}, .kind = std::move(kind), .data = std::move(data)});
  };
  CHECK(line("tree.create", {{"path", ready}, {"temporary", true}}).empty());
  CHECK_FALSE(line("tree.create", {{"path", ready}}).empty());  // somebody's own of that name
  const std::string put = line(
      "tree.rename", {{"path", ready}, {"other", "/workspaces/site/new"}, {"temporary", true}});
  CHECK(put.find(R"("op":"create","path":"/workspaces/site/new",)") != std::string::npos);
  CHECK(put.find(".agentfs-") == std::string::npos);
  const std::string replaced = line("tree.rename", {{"path", ready},
                                                    {"other", "/workspaces/site/old"},
                                                    {"temporary", true},
                                                    {"kept", json::Object{{"number", 41}}}});
  CHECK(replaced.find(R"("op":"write","path":"/workspaces/site/old","version":41)") !=
        std::string::npos);
  const std::string cut = line(
      "tree.interrupted",
      {{"path", ready}, {"other", "/workspaces/site/new"}, {"temporary", true}, {"of", "rename"}});
  CHECK(cut.find(R"("op":"interrupted","path":"/workspaces/site/new",)") != std::string::npos);
  CHECK(cut.find(".agentfs-") == std::string::npos);
}

TEST_CASE("Events after a number are told whatever happens in /tmp") {
  TestKernel t;
  for (std::size_t i = 0; i <= ChangeFeed::kMostLines; ++i) change(t, "tree.write", "/tmp/a");
  change(t, "tree.write", "/workspaces/site/a");
  CHECK(numbers_of(must(changes_since(t.kernel().journal(), {}, ""))).size() == 1);
}

TEST_CASE("The feed keeps nothing of workspaces that are gone") {
  ChangeFeed feed;
  std::uint64_t number = 0;
  const auto change = [&](std::string_view kind, const std::string& path, std::string other = {}) {
    json::Object data{{"path", path}};
    if (!other.empty()) data.emplace_back("other", std::move(other));
    feed.add({.sequence = {++number}, .kind = std::string(kind), .data = std::move(data)});
  };
  for (const char* const name : {"removed", "renamed", "stays", "again"}) {
    change("tree.write", fmt::format("/workspaces/{}/a", name));
  }
  change("tree.remove", "/workspaces/removed");
  change("tree.remove", "/workspaces/again");
  change("tree.rename", "/workspaces/renamed", "/workspaces/now");
  change("tree.remove", "/workspaces/stays/a");
  change("tree.mkdir", "/workspaces/again");
  for (int i = 0; i < 9'000; ++i) {
    change("tree.write", "/workspaces/busy/" + std::string(4'000, 'x'));
  }
  const auto kept = [&](const std::string& name) {
    return numbers_of(feed.text("/workspaces/" + name)).size();
  };
  CHECK(kept("removed") == 0);
  CHECK(kept("renamed") == 0);
  CHECK(kept("again") == 1);
  CHECK(kept("now") == 1);
  CHECK(kept("stays") == 2);
}

TEST_CASE("Who follows a workspace is told nothing of what has its name later") {
  struct End {
    const char* kind;
    const char* path;
    const char* other;
    bool exchange;
  };
  for (const End& end : {End{"tree.remove", "/workspaces/site", "", false},
                         End{"tree.discard", "/workspaces/site", "", false},
                         End{"tree.rename", "/workspaces/site", "/workspaces/now", false},
                         End{"tree.rename", "/workspaces/site", "/workspaces/other", true},
                         End{"tree.rename", "/workspaces/other", "/workspaces/site", true}}) {
    CAPTURE(end.kind, end.path, end.exchange);
    ChangeFeed feed;
    std::string seen;
    int ends = 0;
    feed.subscribe("/workspaces/site",
                   [&](std::string_view lines, bool is_last) {
                     seen += lines;
                     ends += is_last ? 1 : 0;
                   },
                   {});
    std::uint64_t number = 0;
    const auto tell = [&](std::string_view kind, const std::string& path, json::Value more) {
      more.set("path", path);
      feed.add({.sequence = {++number}, .kind = std::string(kind), .data = std::move(more)});
      feed.tell();
    };
    tell("tree.write", "/workspaces/site/a", {});
    tell("tree.remove", "/workspaces/site/b", {});
    CHECK(ends == 0);
    tell(end.kind, end.path, json::Object{{"other", end.other}, {"exchange", end.exchange}});
    tell("tree.mkdir", "/workspaces/site", {});
    tell("tree.write", "/workspaces/site/secret", {});
    CHECK(numbers_of(seen) == std::vector<std::int64_t>{1, 2, 3});
    CHECK(ends == 1);
  }
}

TEST_CASE("Workspaces that are exchanged keep their lines") {
  TestKernel t;
  for (int i = 0; i < 3; ++i) {
    change(t, "tree.write", "/workspaces/site/a");
    change(t, "tree.write", "/workspaces/other/a");
  }
  ChangeFeed feed;
  const Sequence before = t.kernel().journal().head().sequence;
  feed.begin_after(before);
  must(t.commit("tree.rename", json::Object{{"path", "/workspaces/site"},
                                            {"other", "/workspaces/other"},
                                            {"exchange", true}}));
  std::vector<std::string> damaged;
  const auto add = [&](const Record& record, std::string_view) {
    feed.add(record);
    return ok();
  };
  must(t.kernel().journal().replay_readable(before, add, damaged));
  for (const char* const root : {"/workspaces/site", "/workspaces/other"}) {
    CHECK(numbers_of(must(newest_changes(t.kernel().journal(), feed, root, {}))).size() == 4);
  }
}

TEST_CASE("What a start has not read of a quiet workspace is read when it is asked for") {
  TestKernel t;
  change(t, "tree.write", "/workspaces/again/a");
  change(t, "tree.remove", "/workspaces/again");
  const Sequence ended = t.kernel().journal().head().sequence;
  for (std::size_t i = 0; i < ChangeFeed::kFloor; ++i)
    change(t, "tree.write", "/workspaces/site/a");
  change(t, "tree.write", "/workspaces/again/b");
  const Sequence before = t.kernel().journal().head().sequence;
  ChangeFeed feed;
  feed.begin_after(before);
  const auto add = [&](const Record& record, std::string_view) {
    feed.add(record);
    return ok();
  };
  change(t, "tree.write", "/workspaces/site/b");
  change(t, "tree.write", "/workspaces/again/c");
  std::vector<std::string> damaged;
  must(t.kernel().journal().replay_readable(before, add, damaged));
  const auto count = [&](const std::string& root, Sequence after) {
    return numbers_of(must(newest_changes(t.kernel().journal(), feed, root, after))).size();
  };
  CHECK(numbers_of(feed.text("/workspaces/site")).size() == 1);
  for (int again = 0; again < 2; ++again) {
    CHECK(count("/workspaces/site", {}) == ChangeFeed::kFloor + 1);
    CHECK(count("/workspaces/again", ended) == 2);
    CHECK(count("/workspaces/other", {}) == 0);
  }
  CHECK(!feed.missing("/workspaces/site", {}));
}

TEST_CASE("The feed keeps lines of a quiet workspace, whatever happens elsewhere") {
  ChangeFeed feed;
  std::uint64_t number = 0;
  const auto change = [&](const std::string& path, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      feed.add(
          {.sequence = {++number}, .kind = "tree.write", .data = json::Object{{"path", path}}});
    }
  };
  change("/workspaces/quiet/a", 2 * ChangeFeed::kFloor);
  change("/workspaces/busy/" + std::string(4'000, 'x'), 9'000);
  const auto kept = numbers_of(feed.text("/workspaces/quiet"));
  REQUIRE(kept.size() == ChangeFeed::kFloor);
  CHECK(kept.front() == ChangeFeed::kFloor + 1);
  CHECK(kept.back() == 2 * ChangeFeed::kFloor);
  change("/workspaces/quiet/b", 1);
  CHECK(numbers_of(feed.text("/workspaces/quiet")).size() == ChangeFeed::kFloor + 1);
}

TEST_CASE("Who may not see a tree any more is told up to the change that made it so") {
  ChangeFeed feed;
  bool may = true;
  std::string seen;
  int ends = 0;
  const auto receive = [&](std::string_view lines, bool is_last) {
    seen += lines;
    ends += is_last ? 1 : 0;
  };
  feed.subscribe("/workspaces/site", receive, [&] { return may; });
  std::uint64_t number = 0;
  const auto add = [&](std::string_view kind, const std::string& path) {
    json::Value data;
    data.set("path", path);
    feed.add({.sequence = {++number}, .kind = std::string(kind), .data = std::move(data)});
  };
  add("tree.attributes", "/workspaces/site");
  add("tree.write", "/workspaces/site/a");
  feed.tell();
  CHECK(numbers_of(seen).size() == 2);
  may = false;
  add("tree.write", "/workspaces/site/b");
  feed.tell();
  CHECK(ends == 0);
  add("tree.attributes", "/workspaces/site");
  add("tree.write", "/workspaces/site/secret");
  feed.tell();
  CHECK(numbers_of(seen).size() == 4);
  CHECK(ends == 1);
  add("tree.write", "/workspaces/site/secret");
  feed.tell();
  CHECK(numbers_of(seen).size() == 4);
  CHECK(ends == 1);
}

}  // namespace
}  // namespace agentfs::test
