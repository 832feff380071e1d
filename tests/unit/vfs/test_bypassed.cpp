// SPDX-License-Identifier: MIT
// What is written past the daemon, found by size and time of change, also after its death.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "backends/trees/trees.h"
#include "base/file.h"
#include "base/file_clock.h"
#include "fs/vfs/bypassed_files.h"
#include "fs/vfs/data_handle.h"
#include "support/temporary.h"
#include "test_tree.h"

namespace agentfs::vfs {
namespace {

using Lines = std::vector<std::string>;

struct Place : test::TemporaryDirectory {
  std::string log() const { return path("open-files"); }
};

struct stat with(off_t size, std::int64_t changed, ino_t inode = 7) {
  struct stat values{};
  values.st_size = size;
  values.st_mtim.tv_sec = changed;
  values.st_ino = inode;
  return values;
}

Caller author(std::uint64_t process) {
  Caller caller;
  caller.process = {process};
  caller.host.uid = 1000;
  caller.host.command = "a command";
  caller.host.session = "s1";
  return caller;
}

// Services that keep the rows.
struct Rows final : FakeServices {
  Status record_change(const Caller& caller, const TreeChange& change) override {
    rows.push_back(fmt::format("{} {} {} {}", caller.process.value, change.operation, change.path,
                               change.bytes));
    details.push_back(change.details);
    return ok();
  }
  Lines rows_without(std::string_view operation) const {
    Lines kept;
    for (const std::string& row : rows) {
      if (!row.contains(operation)) kept.push_back(row);
    }
    return kept;
  }
  Lines rows;
  std::vector<json::Object> details;
};

struct Disk {
  explicit Disk(const std::string& log) { mount(log); }
  void mount(const std::string& log) {
    FileSystemParts parts;
    parts.services = &services;
    parts.root = &test_root();
    parts.trees = {{"/work", store.get()}};
    parts.open_files = log;
    files = std::make_unique<FileSystem>(std::move(parts));
  }
  std::shared_ptr<Handle> open(const std::string& name, int flags) {
    const Found work = *files->root()->lookup(request, "work");
    if ((flags & O_CREAT) != 0) {
      return work.node->create(request, name, flags, 0644)->opened.handle;
    }
    return work.node->lookup(request, name)->node->open(request, flags)->handle;
  }
  // In a new directory.
  CreatedNode create_below(const std::string& directory, const std::string& name) {
    const NodeRef work = files->root()->lookup(request, "work")->node;
    const NodeRef below = work->make_directory(request, directory, 0755)->node;
    const auto made = below->create(request, name, O_RDWR, 0644);
    REQUIRE(made);
    return *made;
  }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(directory.path(name), std::ios::app) << text;
  }

  Place directory;
  Rows services;
  TestRequest request{10};
  std::unique_ptr<TreeStore> store = *open_tree_store(directory.path());
  std::unique_ptr<FileSystem> files;
};

}  // namespace

TEST_CASE("what is open is accounted for again when there is room for the log") {
  const Place place;
  BypassedFiles files(place.log());
  files.start();
  const int opens[3] = {};
  files.begin_written(&opens[0], author(1), "/work/0", with(0, 1));
  struct rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  {
    const auto was = ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &none) == 0);
    files.begin_written(&opens[1], author(1), "/work/1", with(0, 1));
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    ::signal(SIGXFSZ, was);
  }
  files.begin_written(&opens[2], author(1), "/work/2", with(0, 1));
  files.end(&opens[0]);
  Lines paths;
  for (const auto& file : BypassedFiles(place.log()).left_behind()) paths.push_back(file.path);
  CHECK(paths == Lines{"/work/1", "/work/2"});
}

TEST_CASE("a change is told once, with by how much a file grew") {
  BypassedFiles files("");
  const int file = 0;
  files.begin(&file, author(1), "/work/a", with(10, 1));
  CHECK_FALSE(files.look(&file, with(10, 1)));
  const auto grown = files.look(&file, with(15, 2));
  REQUIRE(grown);
  CHECK(grown->bytes == 5);
  CHECK(grown->writers == 1);
  CHECK_FALSE(files.look(&file, with(15, 2)));
  files.settle(&file, with(3, 4));
  CHECK_FALSE(files.look(&file, with(3, 4)));
  files.begin(&file, author(2), "/work/a", with(3, 4));
  const auto rewritten = files.look(&file, with(3, 5));
  REQUIRE(rewritten);
  CHECK(rewritten->bytes == 0);
  CHECK(rewritten->writers == 2);
  CHECK(rewritten->author.process.value == 2);
  files.end(&file);
  files.end(&file);
  CHECK_FALSE(files.look(&file, with(9, 9)));
}

TEST_CASE("what the time of change cannot tell yet is taken for changed, but not at a release") {
  const Place place;
  BypassedFiles files(place.log());
  files.start();
  const int opens[2] = {};
  struct stat now = with(8, 0);
  now.st_mtim = file_clock();
  now.st_mtim.tv_sec += 1;  // has yet to come
  files.begin(&opens[0], author(1), "/work/a", now);
  CHECK(files.look(&opens[0], now));
  CHECK_FALSE(files.look(&opens[0], now, true));
  struct stat empty = now;
  empty.st_size = 0;
  files.begin(&opens[1], author(1), "/work/b", empty);
  CHECK_FALSE(files.look(&opens[1], empty));
  const auto left = BypassedFiles(place.log()).left_behind();
  CHECK(BypassedFiles::change_of(left.at(0), now));
  CHECK_FALSE(BypassedFiles::change_of(left.at(1), empty));
}

TEST_CASE("the log tells of what was open when its writer died") {
  const Place place;
  const int one = 0;
  const int two = 0;
  {
    BypassedFiles files(place.log());
    CHECK(files.left_behind().empty());
    files.start();
    files.begin(&one, author(1), "/work/a b\n", with(1, 1));
    files.begin(&two, author(2), "/work/closed", with(1, 1));
    CHECK(files.look(&one, with(4, 2)));
    files.end(&two);
  }
  std::ofstream(place.log(), std::ios::app) << "3 open 12";  // cut off by a power failure
  const auto left = BypassedFiles(place.log()).left_behind();
  REQUIRE(left.size() == 1);
  CHECK(left[0].path == "/work/a b\n");
  CHECK(left[0].size == 4);
  CHECK(left[0].inode == 7);
  CHECK(left[0].author.process.value == 1);
  CHECK(left[0].author.host.uid == 1000);
  CHECK(left[0].author.host.command == "a command");
  CHECK(left[0].author.host.session == "s1");
}

TEST_CASE("a log begins anew when it has grown and nothing is open") {
  const Place place;
  BypassedFiles files(place.log());
  files.start();
  const int file = 0;
  for (int i = 0; i < 20'000; ++i) {
    files.begin(&file, author(1), "/work/a", with(i, i));
    files.end(&file);
  }
  CHECK(std::filesystem::file_size(place.log()) < (2U << 20U));
  CHECK(files.left_behind().empty());
}

TEST_CASE("bytes that went past a handle have a row at its close, and only then") {
  Disk disk("");
  const auto handle = disk.open("a", O_CREAT | O_RDWR);
  handle->bypass(O_RDWR);
  disk.services.rows.clear();
  CHECK(handle->flush(disk.request));
  CHECK(disk.services.rows.empty());
  disk.write("a", "hello");
  CHECK(handle->flush(disk.request));
  CHECK(disk.services.rows == Lines{"1 write /work/a 5"});
  handle->release();
  CHECK(disk.services.rows.size() == 1);
  const auto reader = disk.open("a", O_RDONLY);
  reader->bypass(O_RDONLY);
  disk.write("a", "more");
  reader->release();
  CHECK(disk.services.rows.size() == 1);
}

TEST_CASE("of attributes that are set, what was written before is told first") {
  Disk disk("");
  const auto handle = disk.open("a", O_CREAT | O_RDWR);
  handle->bypass(O_RDWR);
  disk.services.rows.clear();
  disk.write("a", "hello");
  SetAttributes wanted{.which = SetAttributes::mtime};
  const Found a =
      *(*disk.files->root()->lookup(disk.request, "work")).node->lookup(disk.request, "a");
  CHECK(a.validity.attributes == 0);  // a mapping could change them
  CHECK(a.node->set_attributes(disk.request, nullptr, wanted));
  CHECK(disk.services.rows == Lines{"1 write /work/a 5", "1 attributes /work/a 0"});
  handle->release();
  CHECK(disk.services.rows.size() == 2);
  CHECK(a.node->attributes(disk.request)->validity > 0);
}

TEST_CASE("two who write one file past the daemon are both told of") {
  Disk disk("");
  const auto one = disk.open("a", O_CREAT | O_RDWR);
  one->bypass(O_RDWR);
  const auto two = disk.open("a", O_WRONLY);
  two->bypass(O_RDWR);
  disk.write("a", "hello");
  two->release();
  CHECK(disk.services.rows.back() == "1 write /work/a 5");
  CHECK(disk.services.details.back() == json::Object{{"writers", 2}});
  one->release();
  CHECK(disk.services.rows_without("open").size() == 2);  // the create and that write
}

TEST_CASE("what was never closed is accounted for at the next start") {
  const Place place;
  Disk disk(place.log());
  std::vector<std::shared_ptr<Handle>> open;
  for (const char* name : {"written", "idle", "removed"}) {
    open.push_back(disk.open(name, O_CREAT | O_WRONLY));
    open.back()->bypass(O_RDWR);
  }
  std::filesystem::copy(place.log(), place.log() + ".dead");
  disk.write("written", "hello");
  std::filesystem::remove(disk.directory.path() + "/removed");
  disk.services.rows.clear();
  disk.mount(place.log() + ".dead");
  CHECK(disk.services.rows == Lines{"1 write /work/written 5"});
  CHECK(disk.services.details.back() == json::Object{{"found_at_start", true}});
  disk.mount(place.log() + ".dead");
  CHECK(disk.services.rows.size() == 1);
}

TEST_CASE("what is open when a session ends is told, and left to the next daemon") {
  const Place place;
  Disk disk(place.log());
  const auto handle = disk.open("a", O_CREAT | O_WRONLY);
  handle->bypass(O_RDWR);
  disk.write("a", "hello");
  disk.services.rows.clear();
  handle->abandon();
  CHECK(disk.services.rows == Lines{"1 write /work/a 5"});
  disk.write("a", "late");
  disk.mount(place.log());
  CHECK(disk.services.rows == Lines{"1 write /work/a 5", "1 write /work/a 4"});
}

TEST_CASE("while a tree is kept as it is, nothing in it is opened past the daemon") {
  Disk disk("");
  const CreatedNode made = disk.create_below("w", "a");
  const auto& handle = made.opened.handle;
  {
    const auto held = disk.files->begin_snapshot("/work/w");
    REQUIRE(held);
    CHECK_FALSE(handle->enter_past());
    CHECK(disk.open("beside", O_CREAT | O_RDWR)->enter_past());
  }
  CHECK(handle->enter_past());
  const auto refused = disk.files->begin_snapshot("/work/w");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  handle->release();
  CHECK(disk.files->begin_snapshot("/work/w"));
}

TEST_CASE("of a file that is being replaced none is opened past the daemon for writing") {
  Disk disk("");
  const auto writer = disk.open("a", O_CREAT | O_RDWR);
  const auto reader = disk.open("a", O_RDONLY);
  const auto node = std::static_pointer_cast<DataNode>(
      disk.files->root()->lookup(disk.request, "work")->node->lookup(disk.request, "a")->node);
  CHECK(reader->enter_past());
  {
    const auto held = node->tree().hold_back(node);
    REQUIRE(held);
    CHECK_FALSE(writer->enter_past());
  }
  CHECK(writer->enter_past());
  CHECK(node->tree().hold_back(node).error().code == EBUSY);
  writer->release();
  CHECK(node->tree().hold_back(node));
  const auto late = disk.open("a", O_RDWR);
  node->retire();
  CHECK_FALSE(late->enter_past());
  for (const auto& one : {late, reader}) one->release();
}

TEST_CASE("what holds a file back may be the last that knows it") {
  Disk disk("");
  (void)disk.open("a", O_CREAT | O_RDWR);
  std::weak_ptr<DataNode> known;
  Hold held;
  {
    const auto node = std::static_pointer_cast<DataNode>(
        disk.files->root()->lookup(disk.request, "work")->node->lookup(disk.request, "a")->node);
    known = node;
    held = node->tree().hold_back(node).value();
  }
  CHECK_FALSE(known.expired());
  held.reset();
  CHECK(known.expired());
}

TEST_CASE("who has a file open writes to it until another has its place, and if it has it again") {
  Disk disk("");
  const CreatedNode made = disk.create_below("w", "a");
  Handle& handle = *made.opened.handle;
  const auto& file = static_cast<DataNode&>(*made.found.node).file();
  CHECK(TestTree::write(disk.request, handle, 0, "before") == 0);
  const auto exchange = [&](bool forth, bool goes) {
    return disk.files->exchange("/work/w", file, forth, [&]() -> Status {
      return goes ? ok() : fail_errno(EIO, "the step");
    });
  };
  CHECK_FALSE(exchange(true, false));
  CHECK(TestTree::write(disk.request, handle, 0, "still") == 0);
  CHECK(exchange(true, true));
  CHECK(TestTree::write(disk.request, handle, 0, "lost") == ESTALE);
  CHECK(exchange(false, true));
  CHECK(TestTree::write(disk.request, handle, 0, "again") == 0);
  handle.release();
}

TEST_CASE("a file that another has the place of gets no attributes, and who names it looks again") {
  Disk disk("");
  const CreatedNode made = disk.create_below("w", "a");
  made.opened.handle->release();
  auto& node = static_cast<DataNode&>(*made.found.node);
  SetAttributes mode{.which = SetAttributes::mode};
  mode.values.st_mode = 0600;
  const auto codes = [&] {
    return std::vector{code(node.set_attributes(disk.request, nullptr, mode)),
                       code(node.set_xattr(disk.request, "user.a", "1", 0)),
                       code(node.remove_xattr(disk.request, "user.a"))};
  };
  node.retire();
  CHECK(codes() == std::vector{ESTALE, ESTALE, ESTALE});
  CHECK((node.attributes(disk.request)->attributes.st_mode & 0777) != 0600);
  node.retire(false);
  CHECK(codes() == std::vector{0, 0, 0});
}

TEST_CASE("a file that another has the place of, or without a name, gets no further name") {
  Disk disk("");
  const CreatedNode made = disk.create_below("w", "a");
  made.opened.handle->release();
  const NodeRef top = disk.files->root()->lookup(disk.request, "work")->node;
  const NodeRef directory = top->lookup(disk.request, "w")->node;
  auto& node = static_cast<DataNode&>(*made.found.node);
  node.retire();
  CHECK(code(directory->link(disk.request, node, "b")) == ESTALE);
  node.retire(false);
  CHECK(directory->link(disk.request, node, "b"));
  for (const char* name : {"a", "b"}) CHECK(directory->unlink(disk.request, name));
  CHECK(code(directory->link(disk.request, node, "c")) == ESTALE);
}

}  // namespace agentfs::vfs
