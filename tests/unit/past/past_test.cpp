// SPDX-License-Identifier: MIT
// The store of old contents on a real disk: what is kept, under which name, and what faults leave.
#include "backends/past/past.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/copy.h"
#include "catch.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

class Place {
 public:
  Place() : store(must(open_past(directory.path() + "/past"))) {}
  std::string file(const std::string& name, std::string_view text) const {
    const std::string path = directory.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  void reopen() { store = must(open_past(directory.path() + "/past")); }
  std::string text(const PastName& name) const {
    const UniqueFd fd = must(store->open(name));
    return must(file::read(fd.get()));
  }

  TemporaryDirectory directory;
  std::unique_ptr<PastStore> store;
};

UniqueFd path_descriptor(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  REQUIRE(fd);
  return fd;
}

struct stat stat_of(const std::string& path) {
  struct stat attributes{};
  REQUIRE(::lstat(path.c_str(), &attributes) == 0);
  return attributes;
}

TEST_CASE("A link keeps the inode itself after its name has gone") {
  Place place;
  const std::string path = place.file("a", "old\n");
  const ino_t inode = stat_of(path).st_ino;
  const auto number = must(place.store->keep_link(path_descriptor(path).get(), "/w/s/a")).number;
  REQUIRE(::unlink(path.c_str()) == 0);
  const PastName name{number, "/w/s/a"};
  CHECK(must(place.store->attributes(name)).st_ino == inode);
  CHECK(must(place.store->attributes(name)).st_nlink == 1);
  CHECK(place.text(name) == "old\n");
}

TEST_CASE("A copy keeps bytes, mode, times, attributes and holes, and leaves the file alone") {
  Place place;
  const std::string path = place.file("a", "");
  REQUIRE(::truncate(path.c_str(), 8 << 20) == 0);
  {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY));
    REQUIRE(::pwrite(fd.get(), "middle", 6, 4 << 20) == 6);
  }
  const bool has_xattrs = ::setxattr(path.c_str(), "user.colour", "red", 3, 0) == 0;
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  const timespec times[2] = {{1'000, 5}, {2'000, 7}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  const auto before = stat_of(path);
  const auto number = must(place.store->keep_copy(path_descriptor(path).get(), "/w/s/a"));
  CHECK(stat_of(path).st_atim.tv_sec == before.st_atim.tv_sec);
  const PastName name{number, "/w/s/a"};
  const struct stat kept = must(place.store->attributes(name));
  CHECK(kept.st_ino != before.st_ino);
  CHECK(kept.st_size == before.st_size);
  CHECK((kept.st_mode & 07777U) == 0640);
  CHECK(kept.st_mtim.tv_sec == 2'000);
  CHECK(kept.st_mtim.tv_nsec == 7);
  CHECK(kept.st_blocks <= before.st_blocks + 64);  // no hole has become zeros
  CHECK(place.text(name) == must(file::read(path)));
  if (has_xattrs) {
    char value[8];
    const UniqueFd fd = must(place.store->open(name));
    CHECK(::fgetxattr(fd.get(), "user.colour", value, sizeof value) == 3);
  }
  CHECK(stat_of(path).st_nlink == 1);
}

TEST_CASE("What is moved is kept as what a link keeps, and nothing is where that fails") {
  Place place;
  const std::string path = place.file("a", "old\n");
  const ino_t inode = stat_of(path).st_ino;
  const auto move = [&](int directory, const std::string& name) -> Status {
    const int done = ::renameat2(AT_FDCWD, path.c_str(), directory, name.c_str(), RENAME_NOREPLACE);
    return done == 0 ? ok() : fail_errno(path);
  };
  const auto number = must(place.store->keep_moved("/w/s/a", move));
  CHECK_FALSE(fs::exists(path));
  const PastName kept{.number = number, .path = "/w/s/a"};
  CHECK(place.text(kept) == "old\n");
  CHECK(must(place.store->attributes(kept)).st_ino == inode);
  CHECK(must(place.store->list()).size() == 1);
  CHECK(place.store->keep_moved("/w/s/a", move).error().code == ENOENT);
  CHECK(must(place.store->list()).size() == 1);
}

TEST_CASE("Numbers go on after a restart, and are never given twice") {
  Place place;
  const std::string path = place.file("a", "x");
  const auto first = must(place.store->keep_link(path_descriptor(path).get(), "/w/s/a")).number;
  place.store->reserve(41);
  CHECK(place.store->next() == 42);
  place.reopen();
  CHECK(place.store->next() == first + 1);  // what is not on the disk the journal knows
  place.store->reserve(100);
  place.store->reserve(7);
  CHECK(place.store->next() == 101);
}

TEST_CASE("What is kept is listed with its path, whatever that is made of") {
  Place place;
  const std::string path = place.file("a", "x");
  std::vector<std::string> paths = {"/w/s/a b%2F%/c", "/w/s/\xff\x01\n.~",
                                    "/w/" + std::string(9, '%')};
  for (int i = 0; i < 3; ++i) {
    must(place.store->keep_copy(path_descriptor(path).get(), paths[static_cast<size_t>(i)]));
  }
  std::vector<PastName> names = must(place.store->list());
  std::ranges::sort(names, {}, &PastName::number);
  REQUIRE(names.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(names[i].path == paths[i]);
    CHECK(names[i].whole);
    CHECK(place.text({names[i].number, paths[i]}) == "x");
  }
}

TEST_CASE("A path that is too long for a name is cut, and found by number and path all the same") {
  Place place;
  const std::string path = place.file("a", "x");
  const std::string long_path = "/w/s/" + std::string(250, 'd') + "/" + std::string(250, 'e');
  const auto number = must(place.store->keep_copy(path_descriptor(path).get(), long_path));
  CHECK(place.text({number, long_path}) == "x");
  for (int opened = 0; opened < 2; ++opened, place.reopen()) {
    const auto names = must(place.store->list());
    REQUIRE(names.size() == 1);
    CHECK(names[0].whole);
    CHECK(names[0].path == long_path);
    CHECK(place.text(names[0]) == "x");
  }
  const auto name = must(place.store->list())[0];
  CHECK(place.store->sync({&name, 1}));
  CHECK(place.store->drop(name));
  CHECK(place.store->sync({&name, 1}));
  CHECK(place.store->sync(std::vector(100, name)));
  CHECK(must(place.store->list()).empty());
  CHECK(place.store->drop(name));
  place.reopen();
  CHECK(must(file::read(place.directory.path() + "/past/paths.jsonl")).empty());
}

TEST_CASE("A path that is too long for a name, and was noted in part, is cut and no other's") {
  Place place;
  const std::string path = place.file("a", "x");
  const std::string top = "/w/s/" + std::string(250, 'd') + "/";
  std::vector<std::uint64_t> numbers;
  for (const char* const last : {"one", "two"}) {
    numbers.push_back(must(place.store->keep_copy(path_descriptor(path).get(), top + last)));
  }
  const std::string notes = place.directory.path() + "/past/paths.jsonl";
  const std::string whole = must(file::read(notes));
  const std::string of_another = R"({"number":1,"path":"/w/s/another"})";
  for (const std::string& left : {of_another + "\n", whole.substr(0, 100), std::string()}) {
    place.file("past/paths.jsonl", left);
    place.reopen();
    for (const PastName& name : must(place.store->list())) {
      CHECK_FALSE(name.whole);
      CHECK(top.starts_with(name.path));
      CHECK(place.text(name) == "x");
    }
    const auto next = must(place.store->keep_copy(path_descriptor(path).get(), top + "three"));
    std::vector<PastName> names = must(place.store->list());
    const auto found = std::ranges::find(names, next, &PastName::number);
    CHECK(found->path == top + "three");
    CHECK(place.store->drop(*found));
  }
  const PastName cut = must(place.store->list())[0];
  CHECK(place.store->rename(cut, "/w/s/orphan"));
  CHECK(place.text({cut.number, "/w/s/orphan"}) == "x");
}

TEST_CASE("Thousands of contents lie in folders of a thousand") {
  Place place;
  const std::string path = place.file("a", "x");
  const UniqueFd fd = path_descriptor(path);
  for (int i = 0; i < 2'100; ++i) must(place.store->keep_link(fd.get(), "/w/s/a"));
  CHECK(must(place.store->list()).size() == 2'100);
  CHECK(fs::exists(place.directory.path() + "/past/2/002100.%2Fw%2Fs%2Fa"));
}

TEST_CASE("A half-made copy is never among what is kept") {
  Place place;
  place.file("past/new/17", "half");
  place.reopen();
  CHECK(must(place.store->list()).empty());
  CHECK_FALSE(fs::exists(place.directory.path() + "/past/new/17"));
}

// A file system of its own: other device, and little room.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path) : path_(path) {
    fs::create_directories(path);
    mounted_ = ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool is_there() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_CASE("Where another disk is in between a link becomes a copy") {
  TemporaryDirectory top;
  const SmallDisk disk(top.path() + "/disk");
  if (!disk.is_there()) return;  // mounting takes root
  const auto store = must(open_past(top.path() + "/disk/past"));
  const std::string path = top.path() + "/a";
  std::ofstream(path) << "old\n";
  const auto number = must(store->keep_link(path_descriptor(path).get(), "/w/s/a")).number;
  CHECK(stat_of(path).st_nlink == 1);
  CHECK(must(file::read(must(store->open({number, "/w/s/a"})).get())) == "old\n");
}

TEST_CASE("A full disk is told, and nothing half is left") {
  TemporaryDirectory top;
  const SmallDisk disk(top.path() + "/disk");
  if (!disk.is_there()) return;  // mounting takes root
  const auto store = must(open_past(top.path() + "/disk/past"));
  const std::string path = top.path() + "/a";
  std::ofstream(path) << std::string(4 << 20, 'x');
  const auto kept = store->keep_copy(path_descriptor(path).get(), "/w/s/a");
  REQUIRE_FALSE(kept);
  CHECK(kept.error().code == ENOSPC);
  CHECK(must(store->list()).empty());
  CHECK(fs::is_empty(top.path() + "/disk/past/new"));
}

TEST_CASE("A copy that is killed at any moment is whole or not there") {
  Place place;
  const std::string path = place.file("a", std::string(3 << 20, 'y'));
  for (int delay = 0; delay < 12; ++delay) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (;;) {
        const UniqueFd fd(::open(path.c_str(), O_PATH));
        if (!place.store->keep_copy(fd.get(), "/w/s/a")) ::_exit(1);
      }
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(delay);
    while (std::chrono::steady_clock::now() < until) {
    }
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    place.reopen();
    for (const PastName& name : must(place.store->list())) {
      CHECK(must(place.store->attributes(name)).st_size == 3 << 20);
      CHECK(place.store->drop(name));
    }
  }
}

}  // namespace
}  // namespace agentfs::test
