// SPDX-License-Identifier: MIT
// Changes that a kill cuts off from their rows.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "backends/past/past.h"
#include "backends/trees/trees.h"
#include "fs/tree/tree.h"
#include "fs/vfs/under_way.h"
#include "support/temporary.h"
#include "test_tree.h"

namespace agentfs::vfs {
namespace {

using Lines = std::vector<std::string>;

struct UnderWayPlace : test::TemporaryDirectory {
  std::string file() const { return path("under-way"); }
};

std::string line_of(const Caller& author, const TreeChange& change) {
  return fmt::format("{} {} {} {}", author.process.value, change.operation, change.path,
                     change.other);
}

// Before it takes a row: what a daemon that was killed there would leave.
struct KilledServices final : FakeServices {
  Status record_change(const Caller& author, const TreeChange& change) override {
    rows.push_back(line_of(author, change));
    last = change;
    if (!file.empty()) {
      const std::string copy = file + ".copy";
      image = test::slurp(file);
      test::spit(copy, image);
      const UnderWay next(copy);
      for (const auto& one : next.left_behind()) {
        left.push_back(line_of(one.author, one.change));
        kept = one.kept;
      }
    }
    return ok();
  }
  bool keeps_history() override { return is_keeping; }
  std::string why_not_kept(std::uint64_t, bool) override { return {}; }
  bool is_keeping = false;
  std::string file;
  Lines rows;
  Lines left;
  TreeChange last;
  std::string image;  // of the file then
  json::Value kept;   // of what was under way then
};

json::Value kept_of(const TreeChange& row) {
  const auto found = std::ranges::find(row.details, "kept", &json::Object::value_type::first);
  return found == row.details.end() ? json::Value() : found->second;
}

std::unique_ptr<FileSystem> mount(KilledServices& services, TreeStore& store,
                                  const std::string& file) {
  FileSystemParts parts;
  parts.services = &services;
  parts.root = &test_root();
  parts.trees = {{"/work", &store}};
  parts.under_way = file;
  return std::make_unique<FileSystem>(std::move(parts));
}

}  // namespace

TEST_CASE("what is under way when its daemon dies is known to the next ones until one ends it") {
  const UnderWayPlace place;
  Caller author;
  author.process = {7};
  author.host = {.pid = 12, .uid = 1000, .gid = 100, .command = "a command"};
  UnderWay first(place.file());
  const int ended = first.begin(author, {.operation = "create", .path = "/work/a"});
  const TreeChange move{.operation = "rename", .path = "/work/b\n\377", .other = "/work/c d"};
  CHECK(first.begin(author, move) != ended);
  first.end(ended);
  REQUIRE(UnderWay(place.file()).left_behind().size() == 1);  // killed before it has told of it
  UnderWay second(place.file());
  REQUIRE(second.left_behind().size() == 1);
  const auto& [slot, who, change, kept] = second.left_behind().front();
  CHECK(line_of(who, change) == line_of(author, move));
  CHECK(kept.is_null());
  CHECK(who.host.command == "a command");
  CHECK(who.host.uid == 1000);
  CHECK(second.begin(author, {.operation = "create", .path = "/work/a"}) != slot);
  second.end(slot);
  const UnderWay third(place.file());
  REQUIRE(third.left_behind().size() == 1);
  CHECK(third.left_behind().front().change.operation == "create");
}

TEST_CASE("more changes at once than there are slots, and a file that cannot be had") {
  const UnderWayPlace place;
  UnderWay slots(place.file());
  std::set<int> taken;
  for (int i = 0; i < 100; ++i) {
    const int slot = slots.begin({}, {.operation = "mkdir", .path = fmt::format("/work/{}", i)});
    if (slot >= 0) CHECK(taken.insert(slot).second);
  }
  CHECK(taken.size() == 64);
  for (const int slot : taken) slots.end(slot);
  slots.end(-1);
  CHECK(UnderWay(place.file()).left_behind().empty());
  UnderWay none(place.path("not/there"));
  CHECK(none.begin({}, {.operation = "mkdir", .path = "/work/x"}) == -1);
}

TEST_CASE("every change of a name or of attributes is under way until its row is written") {
  const UnderWayPlace place;
  const UnderWayPlace disk;
  KilledServices services;
  TestRequest request{10};
  const auto store = *open_tree_store(disk.path());
  const auto files = mount(services, *store, place.file());
  services.file = place.file();
  const NodeRef work = files->root()->lookup(request, "work")->node;
  const auto made = work->create(request, "a", O_CREAT | O_RDWR, 0644);
  REQUIRE(made);
  made->opened.handle->release();
  const NodeRef a = made->found.node;
  (void)work->make_directory(request, "d", 0755);
  (void)work->make_link(request, "l", "a");
  (void)work->make_node(request, "p", S_IFIFO | 0600, 0);
  (void)work->link(request, *a, "b");
  SetAttributes mode{.which = SetAttributes::mode};
  mode.values.st_mode = 0600;
  (void)a->set_attributes(request, nullptr, mode);
  SetAttributes size{.which = SetAttributes::size};
  size.values.st_size = 10;
  (void)a->set_attributes(request, nullptr, size);
  (void)a->set_xattr(request, "user.x", "1", 0);
  (void)a->remove_xattr(request, "user.x");
  (void)work->rename(request, "b", *work, "c", 0);
  (void)work->unlink(request, "c");
  (void)work->remove_directory(request, "d");
  const auto opened = a->open(request, O_WRONLY | O_TRUNC);
  REQUIRE(opened);
  opened->handle->release();
  std::erase_if(services.rows, [](const std::string& row) { return row.contains(" open "); });
  std::erase_if(services.left, [](const std::string& row) { return row.contains(" open "); });
  std::ranges::sort(services.rows);
  std::ranges::sort(services.left);
  services.left.erase(std::ranges::unique(services.left).begin(), services.left.end());
  services.rows.erase(std::ranges::unique(services.rows).begin(), services.rows.end());
  CHECK(services.left == services.rows);
  CHECK(services.rows.size() >= 11);
}

TEST_CASE("what was written is told before a create that finds its name there cuts it off") {
  const UnderWayPlace place;
  const UnderWayPlace disk;
  KilledServices services;
  TestRequest writer{10};
  TestRequest other{11};
  const auto store = *open_tree_store(disk.path());
  const auto files = mount(services, *store, place.file());
  const NodeRef work = files->root()->lookup(writer, "work")->node;
  const auto made = work->create(writer, "a", O_CREAT | O_RDWR, 0644);
  REQUIRE(made);
  CHECK(TestTree::write(writer, *made->opened.handle, 0, "mine") == 0);
  const auto cut = work->create(other, "a", O_CREAT | O_WRONLY | O_TRUNC, 0644);
  REQUIRE(cut);
  const auto written = std::ranges::find(services.rows, "1 write /work/a ");
  CHECK(written != services.rows.end());
  for (const auto& one : {*made, *cut}) one.opened.handle->release();
}

TEST_CASE("a start tells of what was under way, with its author") {
  const UnderWayPlace place;
  const UnderWayPlace disk;
  Caller author;
  author.process = {7};
  UnderWay dead(place.file());
  CHECK(dead.begin(author, {.operation = "remove", .path = "/work/d/a"}) >= 0);
  KilledServices services;
  const auto store = *open_tree_store(disk.path());
  const auto files = mount(services, *store, place.file());
  CHECK(services.rows == Lines{"7 interrupted /work/d/a "});
  CHECK(UnderWay(place.file()).left_behind().empty());
}

// A workspace with a history, and a directory and two links in it.
struct KeptPlace {
  KeptPlace() {
    services.is_keeping = true;
    REQUIRE(work->make_directory(request, "d", 0750));
    REQUIRE(work->make_link(request, "l", "where it leads"));
    REQUIRE(work->make_link(request, "m", "another"));
  }
  std::unique_ptr<FileSystem> start() {
    FileSystemParts parts;
    parts.services = &services;
    parts.root = &tree::root();
    parts.trees = {{"/workspaces", store.get()}};
    parts.past = past.get();
    parts.under_way = place.file();
    return std::make_unique<FileSystem>(std::move(parts));
  }
  Status change(std::string_view what) {
    if (what == "rmdir d") return work->remove_directory(request, "d");
    if (what == "unlink l") return work->unlink(request, "l");
    return work->rename(request, "l", *work, "m", 0);
  }
  // Changes it; and another daemon begins, as if that one had died before it wrote the row.
  json::Value change_and_die(std::string_view what) {
    services.file = place.file();
    REQUIRE(change(what));
    die();
    return kept_of(services.last);
  }
  void die() {
    services.file.clear();
    test::spit(place.file(), services.image);
  }

  UnderWayPlace place;
  UnderWayPlace disk;
  UnderWayPlace kept_at;
  KilledServices services;
  TestRequest request{10};
  std::unique_ptr<TreeStore> store = *open_tree_store(disk.path());
  std::unique_ptr<PastStore> past = *open_past(kept_at.path());
  std::unique_ptr<FileSystem> files = start();
  NodeRef top = files->root()->lookup(request, "workspaces")->node;
  NodeRef work = top->make_directory(request, "w", 0755)->node;
};

TEST_CASE("what has no bytes and went in a change that a kill cut off is told by the next start") {
  KeptPlace at;
  const std::string what = GENERATE("rmdir d", "unlink l", "rename l m");
  const json::Value row = at.change_and_die(what);
  CHECK(row["type"].text() == (what == "rmdir d" ? "directory" : "link"));
  CHECK(at.services.kept == row);
  // As by a merge that the next start ends before: the past does not know of what is noted here.
  const auto of_another = static_cast<std::int64_t>(at.past->next());
  const auto next = at.start();
  const bool is_replaced = what == "rename l m";
  CHECK(at.services.last.operation == (is_replaced ? "rename" : "interrupted"));
  const json::Value told = kept_of(at.services.last);
  CHECK(told["number"].number() > of_another);
  CHECK(told["target"].text() == row["target"].text());
  CHECK(told["removed"].truth() == !is_replaced);
  if (is_replaced) CHECK(told["path"].text() == "/workspaces/w/m");
}

TEST_CASE("what shows that it was made before a kill is told as any other change") {
  KeptPlace at;
  at.services.file = at.place.file();
  const auto member = [&](const char* name) {
    const auto& details = at.services.last.details;
    return std::ranges::any_of(details, [&](const auto& one) { return one.first == name; });
  };
  SECTION("a directory that was renamed") {
    REQUIRE(at.work->rename(at.request, "d", *at.work, "e", 0));
    at.die();
    const auto next = at.start();
    CHECK(at.services.last.operation == "rename");
    CHECK(at.services.last.path == "/workspaces/w/d");
    CHECK(at.services.last.other == "/workspaces/w/e");
    CHECK(member("directory"));
  }
  SECTION("a whole tree that was removed") {
    REQUIRE(at.top->make_directory(at.request, "x", 0755));
    REQUIRE(at.top->remove_directory(at.request, "x"));
    at.die();
    const auto next = at.start();
    CHECK(at.services.last.operation == "remove");
    CHECK(at.services.last.path == "/workspaces/x");
  }
  SECTION("two that have changed places do not show it") {
    REQUIRE(at.work->rename(at.request, "d", *at.work, "l", RENAME_EXCHANGE));
    at.die();
    const auto next = at.start();
    CHECK(at.services.last.operation == "interrupted");
    CHECK(member("generation"));
  }
}

TEST_CASE("what is there still, or again, was not taken away by a change that a kill cut off") {
  KeptPlace at;
  (void)at.change_and_die("rmdir d");
  REQUIRE(::mkdir(at.disk.path("w/d").c_str(), 0750) == 0);
  const auto next = at.start();
  CHECK(at.services.last.operation == "interrupted");
  CHECK(kept_of(at.services.last).is_null());
}

TEST_CASE("what finds no room in its slot lies in a file of its own until the change ends") {
  const UnderWayPlace place;
  UnderWay first(place.file());
  const json::Value kept(json::Object{{"long", std::string(20'000, 'x')}});
  const int slot = first.begin({}, {.operation = "remove", .path = "/work/d"});
  first.note_kept(slot, kept);
  const std::string from = "/work/" + std::string(9'000, 'a');
  const std::string to = "/work/" + std::string(9'000, 'b');
  const int moved = first.begin({}, {.operation = "rename", .path = from, .other = to});
  first.note_kept(moved, kept);
  {
    const UnderWay second(place.file());
    REQUIRE(second.left_behind().size() == 2);
    const auto& removal = second.left_behind().front();
    CHECK(removal.change.path == "/work/d");
    CHECK(json::dump(removal.kept) == json::dump(kept));
    const auto& renaming = second.left_behind().back();
    CHECK(renaming.change.path == from);
    CHECK(renaming.change.other == to);
    CHECK(json::dump(renaming.kept) == json::dump(kept));
  }
  first.end(slot);
  first.end(moved);
  CHECK(UnderWay(place.file()).left_behind().empty());
  using Files = std::filesystem::directory_iterator;
  CHECK(std::distance(Files(place.path("")), Files()) == 1);
  CHECK(first.begin({}, {.operation = "mkdir", .path = "/work/e"}) == slot);
}

TEST_CASE("a long change that cannot be noted takes no slot, and leaves what is noted") {
  const UnderWayPlace place;
  UnderWay first(place.file());
  const TreeChange change{.operation = "remove", .path = "/work/" + std::string(20'000, 'a')};
  std::filesystem::create_directory(place.file() + ".0");  // in the way of a file
  CHECK(first.begin({}, change) == -1);
  const int slot = first.begin({}, {.operation = "remove", .path = "/work/d"});
  first.note_kept(slot, json::Value(json::Object{{"long", std::string(20'000, 'x')}}));
  const UnderWay second(place.file());
  REQUIRE(second.left_behind().size() == 1);
  CHECK(second.left_behind().front().change.path == "/work/d");
  CHECK(second.left_behind().front().kept.is_null());
}

}  // namespace agentfs::vfs
