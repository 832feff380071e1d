// SPDX-License-Identifier: MIT
// The fold's history: versions by path, the trash, what a crash leaves, what is emptied.
#include "kernel/history.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "catch.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/kinds.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

FileVersionRef make_version(std::uint64_t number, std::string path, bool in_trash = false) {
  FileVersion v;
  v.number = number;
  v.path = std::move(path);
  v.size = 10;
  v.held = 4096;
  v.in_trash = in_trash;
  return std::make_shared<const FileVersion>(std::move(v));
}

std::vector<std::string> names(const std::vector<History::Child>& children) {
  std::vector<std::string> all;
  for (const History::Child& child : children) {
    all.push_back(child.name + (child.has_children ? "/" : ""));
  }
  return all;
}

json::Value kept(std::uint64_t number, std::string_view type = "file") {
  return json::Object{{"number", number}, {"type", type}, {"size", 3}, {"mode", 0644}};
}

void removed(TestKernel& t, const std::string& path, std::uint64_t number) {
  REQUIRE(t.commit("tree.remove", json::Object{{"path", path}, {"kept", kept(number)}}));
}

History history_of(TestKernel& t) {
  History copy;
  t.kernel().look_at_history([&](const History& history) {
    for (const auto& [number, version] : history.all()) copy.add(version);
    copy.set_last(history.last());
  });
  return copy;
}

std::uint64_t keep(TestKernel& t, const std::string& path, std::string_view text) {
  const std::string host = t.state() + "/trees" + path;
  std::ofstream(host) << text;
  const UniqueFd fd(::open(host.c_str(), O_PATH));
  return t.kernel().parts().past->keep_link(fd.get(), path).value().number;
}

TEST_CASE("Versions are found by path, and directories list the names in them once") {
  History h;
  h.add(make_version(1, "/w/s/a"));
  h.add(make_version(2, "/w/s/a.c"));
  h.add(make_version(3, "/w/s/a/b"));
  h.add(make_version(4, "/w/s/a/c/d"));
  h.add(make_version(5, "/w/s/a.c"));
  h.add(make_version(6, "/w/sx/e"));
  CHECK(names(h.children("/w/s")) == std::vector<std::string>{"a/", "a.c"});
  CHECK(names(h.children("/w/s/a")) == std::vector<std::string>{"b", "c/"});
  CHECK(h.versions("/w/s/a.c").size() == 2);
  CHECK(h.versions_below("/w/s").size() == 5);
  CHECK(h.amount().bytes == std::uint64_t{6} * 4096);
  h.erase(5);
  h.erase(5);
  CHECK(h.versions("/w/s/a.c").size() == 1);
  CHECK(h.amount().bytes == std::uint64_t{5} * 4096);
  CHECK(h.last() == 6);
}

TEST_CASE("Of what was removed twice the later one is in the trash, whichever of the two goes") {
  for (const std::uint64_t goes : {std::uint64_t{1}, std::uint64_t{2}}) {
    History h;
    h.add(make_version(1, "/w/s/removed", true));
    h.add(make_version(2, "/w/s/removed", true));
    CHECK(h.trashed("/w/s/removed")->number == 2);
    CHECK(h.trashed_at_or_below("/w/s").size() == 1);
    h.erase(goes);
    CHECK((h.trashed("/w/s/removed") != nullptr) == (goes == 1));
    CHECK(h.trash_children("/w/s").size() == (goes == 1 ? 1 : 0));
    CHECK(h.versions("/w/s/removed").size() == 1);
  }
}

// What is kept of one file, whose names were removed one after the other.
void add_name(History& h, std::uint64_t number, std::string path, FileVersion::Type type) {
  FileVersion v = *make_version(number, std::move(path), true);
  v.type = type;
  v.file = 7;
  h.add(std::make_shared<const FileVersion>(std::move(v)));
}

TEST_CASE("A name of a file that had several is whole when the last of them went") {
  History h;
  add_name(h, 1, "/workspaces/site/a", FileVersion::Type::name);
  CHECK(h.whole(h.find(1)) == nullptr);
  add_name(h, 2, "/workspaces/site/b", FileVersion::Type::file);
  CHECK(h.whole(h.find(1)) == h.find(2));
  CHECK(h.whole(h.find(2)) == h.find(2));
  add_name(h, 3, "/workspaces/site/b", FileVersion::Type::file);  // of a name that it got later
  CHECK(h.whole(h.find(1)) == h.find(2));
  REQUIRE(h.appear("/workspaces/site/a") == 1);
  CHECK(h.whole(h.find(1)) == h.find(2));
  add_name(h, 4, "/workspaces/site/c", FileVersion::Type::name);
  add_name(h, 5, "/workspaces/other/d", FileVersion::Type::file);  // a fork shows the same number
  CHECK(h.whole(h.find(4)) == nullptr);
  CHECK(h.names_of(*h.find(2)) == std::vector{h.find(1)});
  CHECK(h.names_of(*h.find(3)).empty());
  FileVersion forgotten = *h.find(2);
  forgotten.in_trash = false;
  forgotten.forgotten = true;
  h.add(std::make_shared<const FileVersion>(version_from_json(to_json(forgotten))));
  CHECK(h.whole(h.find(1)) == h.find(2));
  CHECK(h.versions("/workspaces/site/b") == std::vector{h.find(3)});
  h.erase(2);
  h.erase(3);
  CHECK(h.whole(h.find(1)) == nullptr);
  CHECK(version_from_json(to_json(*h.find(4))).file == 7);
}

TEST_CASE("The names of a file stay its when their directory gets another name") {
  History h;
  add_name(h, 1, "/workspaces/site/x/b", FileVersion::Type::name);
  add_name(h, 2, "/workspaces/site/x/a",
           FileVersion::Type::file);  // before b in the order of paths
  REQUIRE(h.move("/workspaces/site/x", "/workspaces/site/y", false).size() == 2);
  CHECK(h.whole(h.find(1)) == h.find(2));
  CHECK(h.trashed("/workspaces/site/y/b") == h.find(1));
}

TEST_CASE("What is removed is in the trash until something has its name") {
  TestKernel t;
  removed(t, "/workspaces/site/src/a", 1);
  removed(t, "/workspaces/site/src/b", 2);
  CHECK(history_of(t).trashed_at_or_below("/workspaces/site/src").size() == 2);
  REQUIRE(t.commit("tree.create", json::Object{{"path", "/workspaces/site/src/a"}}));
  REQUIRE(t.commit("tree.rename", json::Object{{"path", "/workspaces/site/c"},
                                               {"other", "/workspaces/site/src/b"}}));
  const History h = history_of(t);
  CHECK(h.trashed_at_or_below("/workspaces/site/src").empty());
  CHECK(h.versions("/workspaces/site/src/a").size() == 1);
}

TEST_CASE("The store and a replay of the journal give the same history") {
  TestKernel t;
  keep(t, "/workspaces/site/a", "one");
  const auto second = keep(t, "/workspaces/site/b", "two");
  removed(t, "/workspaces/site/a", 1);
  REQUIRE(t.commit("tree.write",
                   json::Object{{"path", "/workspaces/site/renamed"},
                                {"kept", kept(second).set("path", "/workspaces/site/b")}}));
  for (const char* name : {"a", "b"}) {
    std::filesystem::remove(t.state() + "/trees/workspaces/site/" + name);
  }
  REQUIRE(t.stop_and_start());
  const History h = history_of(t);
  REQUIRE(h.all().size() == 2);
  CHECK(h.find(1)->in_trash);
  CHECK(h.find(2)->path == "/workspaces/site/b");
  CHECK(h.find(2)->cause == "write");
  CHECK(h.find(1)->author.ends_with("root (bash)"));
}

TEST_CASE("What is there after a change that a kill cut off from its row is not in the trash") {
  TestKernel t;
  const std::string path = "/workspaces/site/a";
  keep(t, path, "one");
  removed(t, path, 1);
  json::Object cut{
      {"path", "/workspaces/site/.agentfs-0123456789ab"}, {"other", path}, {"of", "rename"}};
  REQUIRE(t.commit("tree.interrupted", cut));
  CHECK(history_of(t).trashed(path) != nullptr);
  cut.emplace_back("there", true);
  REQUIRE(t.commit("tree.interrupted", cut));
  CHECK(history_of(t).trashed(path) == nullptr);
}

TEST_CASE("Numbers are not given again when their versions were dropped before a restart") {
  TestKernel t;
  const auto number = keep(t, "/workspaces/site/a", "one");
  std::filesystem::remove(t.state() + "/trees/workspaces/site/a");
  removed(t, "/workspaces/site/a", number);
  REQUIRE(t.kernel().history().forget(t.person(), "/workspaces/site", "a", std::nullopt));
  REQUIRE(t.stop_and_start());
  CHECK(t.kernel().parts().past->next() == number + 1);
}

TEST_CASE("A content without a row is found again under its path") {
  TestKernel t;
  keep(t, "/workspaces/site/lost", "bytes");
  keep(t, "/workspaces/site/there", "bytes");
  std::filesystem::remove(t.state() + "/trees/workspaces/site/lost");
  REQUIRE(t.stop_and_start());
  History h = history_of(t);
  // The one that has its name still was linked, but never removed.
  REQUIRE(h.all().size() == 1);
  REQUIRE(h.trashed("/workspaces/site/lost") != nullptr);
  CHECK(h.trashed("/workspaces/site/lost")->size == 5);
  CHECK(std::filesystem::hard_link_count(t.state() + "/trees/workspaces/site/there") == 1);
  REQUIRE(t.stop_and_start());
  CHECK(history_of(t).all().size() == 1);
}

TEST_CASE("A content whose path is too long for a name is found by what is noted of it") {
  TestKernel t;
  const std::string host = t.state() + "/bytes";
  std::ofstream(host) << "bytes";
  const UniqueFd fd(::open(host.c_str(), O_PATH));
  const std::string notes = t.state() + "/past/paths.jsonl";
  std::string found = "/workspaces/site/" + std::string(250, 'x') + "/" + std::string(250, 'y');
  const auto number = t.kernel().parts().past->keep_copy(fd.get(), found);
  REQUIRE(number);
  SECTION("its path") {}
  SECTION("nothing") {
    std::filesystem::remove(notes);
    found = fmt::format("/workspaces/site/orphan-{}", *number);
  }
  SECTION("only where it belongs by now, which may be too long as well") {
    found = "/workspaces/site/" + GENERATE(std::string("short"), std::string(250, 'z') + "/there");
    std::ofstream(notes) << fmt::format("{{\"number\":{},\"now\":\"{}\"}}\n", *number, found);
  }
  for (int start = 0; start < 2; ++start) {
    REQUIRE(t.stop_and_start());
    const History h = history_of(t);
    REQUIRE(h.trashed(found) != nullptr);
    CHECK(h.all().size() == 1);
    CHECK(t.kernel().history().text_of(*h.trashed(found)) == "bytes");
  }
}

TEST_CASE("A version whose content is gone from the disk is forgotten at the start") {
  TestKernel t;
  removed(t, "/workspaces/site/a", 7);
  REQUIRE(t.stop_and_start());
  CHECK(history_of(t).all().empty());
}

// More than two batches of what is forgotten.
void remove_many(TestKernel& t) {
  for (std::uint64_t number = 1; number <= 2'500; ++number) {
    REQUIRE(
        t.commit("tree.remove", json::Object{{"path", fmt::format("/workspaces/site/{}", number)},
                                             {"kept", kept(number, "empty")}}));
  }
}

std::size_t drops(const TestKernel& t) {
  const auto lines = t.lines();
  return static_cast<std::size_t>(std::ranges::count_if(
      lines, [](const std::string& line) { return line.contains("history.drop"); }));
}

TEST_CASE("What is older than the days that /etc/history.toml gives is dropped in batches") {
  TestKernel t;
  remove_many(t);
  CHECK(t.kernel().history().empty() == 0);
  t.clock.advance(std::int64_t{31} * 86'400 * 1'000'000'000);
  removed(t, "/workspaces/site/young", 3'000);
  REQUIRE(t.kernel().history().empty());  // the kernel itself may have been the first to do it
  CHECK(history_of(t).all().size() == 1);
  CHECK(drops(t) == 3);
}

TEST_CASE("Two who make room at once forget each version once") {
  TestKernel t;
  remove_many(t);
  t.clock.advance(std::int64_t{31} * 86'400 * 1'000'000'000);
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < 4; ++i) all.emplace_back([&] { must(t.kernel().history().empty()); });
  }
  CHECK(drops(t) == 3);
  CHECK(history_of(t).all().empty());
}

TEST_CASE("What is more than the share of the disk goes, the oldest first") {
  TestKernel t;
  const auto first = keep(t, "/workspaces/site/a", "one");
  std::filesystem::remove(t.state() + "/trees/workspaces/site/a");
  removed(t, "/workspaces/site/a", first);
  REQUIRE(t.kernel().configuration().save("history.toml", "share = 0.0\n"));
  CHECK(t.kernel().history().empty() == 1);
  CHECK_FALSE(t.kernel().parts().past->attributes({first, "/workspaces/site/a"}));
}

TEST_CASE("Rules that were written later say nothing of what was replaced before") {
  TestKernel t;
  constexpr std::int64_t kDay = std::int64_t{86'400} * 1'000'000'000;
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  t.clock.advance(now - 5 * kDay - t.clock.wall());
  removed(t, "/workspaces/site/out/before", 1);
  t.paths.put("/workspaces/site/.gitignore", "out/\n");
  std::ofstream(t.state() + "/trees/workspaces/site/.gitignore") << "out/\n";
  t.clock.advance(6 * kDay);
  removed(t, "/workspaces/site/out/after", 2);
  removed(t, "/workspaces/site/main.c", 3);
  t.clock.advance(2 * kDay);
  CHECK(t.kernel().history().empty(false) == 0);
  CHECK(t.kernel().history().empty() == 1);
  CHECK(history_of(t).find(2) == nullptr);
  CHECK(history_of(t).all().size() == 2);
}

TEST_CASE("A hundred thousand versions are found as fast as ten") {
  History h;
  for (std::uint64_t i = 1; i <= 100'000; ++i) {
    h.add(make_version(i, fmt::format("/w/s/{}/{}/f{}", i % 100, i % 1'000, i), true));
  }
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 1'000; ++i) {
    CHECK(h.children("/w/s").size() == 100);
    CHECK(h.trashed("/w/s/99/999/f999") != nullptr);
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - began;
  CHECK(spent.count() < 5);  // a walk over all of them would take minutes
}

TEST_CASE("What restore and forget are asked is checked, and told in sentences") {
  TestKernel t;
  removed(t, "/workspaces/site/main.c", 1);
  Kernel& kernel = t.kernel();
  const auto code = [&](const std::string& path, std::optional<std::uint64_t> number) {
    const auto answer = kernel.history().restore(t.person(), "/workspaces/site", path, number);
    return answer ? 0 : answer.error().code;
  };
  CHECK(code("../other/x", std::nullopt) == EINVAL);
  CHECK(code("a/../../site/main.c", std::nullopt) == EINVAL);
  CHECK(code("/etc/passwd", std::nullopt) == EINVAL);
  CHECK(code("nowhere", std::nullopt) == ENOENT);
  CHECK(code("main.c", 99) == ENOENT);
  const auto answer =
      kernel.history().restore(t.person(), "/workspaces/site", "man.c", std::nullopt);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().message.contains("main.c"));
  CHECK(kernel.history()
            .forget(t.person(), "/workspaces/site", "nowhere", std::nullopt)
            .error()
            .code == ENOENT);
  CHECK(kernel.history()
            .restore(t.person(1234), "/workspaces/site", "main.c", std::nullopt)
            .error()
            .code == EACCES);
}

TEST_CASE("What cannot be undone is refused to agents") {
  TestKernel t;
  std::filesystem::create_directories(t.state() + "/trees/workspaces/site");
  const std::uint64_t number = keep(t, "/workspaces/site/a", "precious");
  removed(t, "/workspaces/site/a", number);
  const ProcessId pid = t.spawn({.name = "worker", .workspace = "site"});
  const Caller agent = t.kernel().agent(pid);
  auto history = t.kernel().history();
  CHECK(history.forget(agent, "/workspaces/site", "a", std::nullopt).error().code == EPERM);
  CHECK(t.kernel().forks().discard(agent, "/workspaces/site", "x").error().code == EPERM);
  CHECK(history_of(t).trashed("/workspaces/site/a") != nullptr);
  CHECK(history.forget(t.person(), "/workspaces/site", "a", std::nullopt));
}

}  // namespace
}  // namespace agentfs::test
