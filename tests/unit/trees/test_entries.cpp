// SPDX-License-Identifier: MIT
// Single operations: names, opening, listing, attributes, extended attributes.
#include <sys/xattr.h>

#include <set>
#include <thread>

#include "tree_fixture.h"

namespace agentfs::test {
namespace {

// Empty after an error. No assertions: it runs on threads, where they are not allowed.
std::vector<TreeStore::DirectoryEntry> list(TreeStore& store, const TreeFile& directory,
                                            std::size_t page) {
  std::vector<TreeStore::DirectoryEntry> entries;
  off_t offset = 0;
  for (std::size_t before = 0;; before = entries.size()) {
    const auto listed = store.read_directory(directory, offset, [&](const auto& entry) {
      if (entries.size() == before + page) return false;
      entries.push_back(entry);
      return true;
    });
    if (!listed) return {};
    if (entries.size() == before) return entries;
    offset = entries.back().next_offset;
  }
}

std::multiset<std::string> names_of(const std::vector<TreeStore::DirectoryEntry>& entries) {
  std::multiset<std::string> names;
  for (const auto& entry : entries) names.insert(entry.name);
  return names;
}

}  // namespace

TEST_CASE("any bytes are a name but those that POSIX forbids", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const TreeNodeRef root = store->root();
  const std::string longest(255, 'n');
  for (const std::string& name : {std::string("\xff\xfe\x80"), std::string("new\nline"),
                                  std::string(" "), std::string("..."), longest}) {
    const auto made = make_file(*store, *root, name, name);
    CHECK(must(store->lookup(*root, name)).node == made);
    CHECK(must(file::read(directory.path(name))) == name);
    must(store->rename(*root, name, *root, "other", 0, kMyself));
    must(store->rename(*root, "other", *root, name, 0, kMyself));
    must(store->unlink(*root, name, kMyself));
  }
  CHECK(code_of(store->lookup(*root, longest + "n")) == ENAMETOOLONG);
  CHECK(code_of(store->create(*root, longest + "n", O_RDWR, 0644, kMyself)) == ENAMETOOLONG);

  const auto file = make_file(*store, *root, "file");
  for (const std::string& name : {std::string(), std::string("."), std::string(".."),
                                  std::string("a/b"), std::string("/"), std::string("a\0b", 3)}) {
    INFO(name);
    CHECK(code_of(store->create(*root, name, O_RDWR, 0644, kMyself)) == EINVAL);
    CHECK(code_of(store->make_directory(*root, name, 0755, kMyself)) == EINVAL);
    CHECK(code_of(store->make_node(*root, name, S_IFIFO | 0644, 0, kMyself)) == EINVAL);
    CHECK(code_of(store->make_link(*root, name, "t", kMyself)) == EINVAL);
    CHECK(code_of(store->link(*file, *root, name, kMyself)) == EINVAL);
    CHECK(code_of(store->unlink(*root, name, kMyself)) == EINVAL);
    CHECK(code_of(store->remove_directory(*root, name, kMyself)) == EINVAL);
    CHECK(code_of(store->rename(*root, name, *root, "x", 0, kMyself)) == EINVAL);
    CHECK(code_of(store->rename(*root, "file", *root, name, 0, kMyself)) == EINVAL);
  }
  CHECK(code_of(store->lookup(*root, "a/b")) == EINVAL);
  CHECK(code_of(store->lookup(*root, "")) == EINVAL);
}

TEST_CASE("opening a store says what is wrong with its directory", "[trees]") {
  SharedDirectory directory;
  REQUIRE(::symlink(directory.path().c_str(), directory.path("link").c_str()) == 0);
  const auto missing = open_tree_store(directory.path("missing"));
  CHECK(code_of(missing) == ENOENT);
  CHECK_THAT(missing.error().message, Catch::Matchers::has("missing"));
  must(file::replace(directory.path("file"), ""));
  CHECK(code_of(open_tree_store(directory.path("file"))) == ENOTDIR);
  const auto store = open_store(directory.path("link"));
  CHECK(store->host_path(*store->root()) == directory.path());
}

TEST_CASE("links are never followed", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const TreeNodeRef root = store->root();
  const std::string target(4095, 't');
  const auto link = must(store->make_link(*root, "link", target, kMyself)).node;
  CHECK(must(store->read_link(*link)) == target);
  CHECK(code_of(store->make_link(*root, "too long", target + "t", kMyself)) == ENAMETOOLONG);
  CHECK(code_of(store->make_link(*root, "empty", "", kMyself)) == ENOENT);
  CHECK(code_of(store->read_link(*root)) == EINVAL);

  must(store->make_link(*root, "out", "/etc/hostname", kMyself));
  const auto out = must(store->lookup(*root, "out"));
  CHECK(out.node->type() == S_IFLNK);
  CHECK(code_of(store->open(*out.node, O_RDONLY, kMyself)) == ELOOP);
  CHECK(code_of(store->create(*root, "out", O_RDWR, 0644, kMyself)) == ELOOP);
  CHECK(code_of(store->lookup(*out.node, "x")) == ENOTDIR);
  SetAttributes wanted;
  wanted.which = SetAttributes::mode;
  wanted.values.st_mode = 0600;
  CHECK(code_of(store->set_attributes(*out.node, nullptr, wanted, kMyself)) ==
        plain(::fchmodat(AT_FDCWD, directory.path("out").c_str(), 0600, AT_SYMLINK_NOFOLLOW)));
  wanted.which = SetAttributes::mtime;
  wanted.values.st_mtim = {77, 123456789};
  must(store->set_attributes(*out.node, nullptr, wanted, kMyself));
  struct stat attributes{};
  REQUIRE(::lstat(directory.path("out").c_str(), &attributes) == 0);
  CHECK(attributes.st_mtim.tv_nsec == 123456789);
}

TEST_CASE("create honours its flags", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const TreeNodeRef root = store->root();
  auto made = must(store->create(*root, "a", O_WRONLY | O_EXCL, 0444, kMyself));
  CHECK((made.entry.attributes.st_mode & 07777) == 0444);
  CHECK(::pwrite(made.file->descriptor(), "hello", 5, 0) == 5);
  CHECK(code_of(store->create(*root, "a", O_WRONLY | O_EXCL, 0644, kMyself)) == EEXIST);

  auto again = must(store->create(*root, "a", O_RDONLY, 0600, kMyself));
  CHECK(again.entry.node == made.entry.node);
  CHECK(again.entry.attributes.st_size == 5);
  CHECK((again.entry.attributes.st_mode & 07777) == 0444);
  make_file(*store, *root, "b", "12345");
  const auto cut = must(store->create(*root, "b", O_RDWR | O_TRUNC, 0600, kMyself));
  CHECK(cut.entry.attributes.st_size == 0);

  make_directory(*store, *root, "d");
  CHECK(code_of(store->create(*root, "d", O_RDWR, 0644, kMyself)) == EISDIR);
  must(store->make_node(*root, "fifo", S_IFIFO | 0644, 0, kMyself));
  CHECK(code_of(store->create(*root, "fifo", O_RDONLY, 0644, kMyself)) == ENXIO);
  CHECK(code_of(store->create(*again.entry.node, "x", O_RDWR, 0644, kMyself)) == ENOTDIR);
}

TEST_CASE("written pages land at their offset whatever handle carries them", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const auto node = make_file(*store, *store->root(), "log", "0123456789");
  const auto opened = must(store->open(*node, O_WRONLY | O_APPEND, kMyself));
  REQUIRE(::pwrite(opened->descriptor(), "ab", 2, 4) == 2);
  CHECK(read_file(*store, *node) == "0123ab6789");
  CHECK((::fcntl(opened->descriptor(), F_GETFL) & (O_APPEND | O_DIRECT | O_NONBLOCK)) == 0);
}

TEST_CASE("a handle truncates a file that has become read-only", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const auto made = must(store->create(*store->root(), "a", O_RDWR, 0444, kMyself));
  SetAttributes wanted;
  wanted.which = SetAttributes::size;
  wanted.values.st_size = 1'000'000;
  const auto& node = *made.entry.node;
  CHECK(must(store->set_attributes(node, made.file.get(), wanted, kMyself)).st_size == 1'000'000);
  wanted.values.st_size = -1;
  CHECK(code_of(store->set_attributes(node, made.file.get(), wanted, kMyself)) == EINVAL);
  wanted.values.st_size = 0;
  CHECK(code_of(store->set_attributes(*store->root(), nullptr, wanted, kMyself)) == EISDIR);
}

TEST_CASE("times are set to the nanosecond, to now, or not at all", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const auto node = make_file(*store, *store->root(), "a");
  SetAttributes wanted;
  wanted.which = SetAttributes::atime | SetAttributes::mtime;
  wanted.values.st_atim = {1, 987654321};
  wanted.values.st_mtim = {2, 1};
  auto now = must(store->set_attributes(*node, nullptr, wanted, kMyself));
  CHECK(now.st_atim.tv_nsec == 987654321);
  CHECK(now.st_mtim.tv_sec == 2);
  wanted.which = SetAttributes::mtime;
  wanted.values.st_atim = {5, 5};
  wanted.values.st_mtim = {0, UTIME_NOW};
  now = must(store->set_attributes(*node, nullptr, wanted, kMyself));
  CHECK(now.st_atim.tv_sec == 1);
  CHECK(now.st_mtim.tv_sec > 1'000'000'000);
}

// A directory of several of the kernel's buffers, and a handle on it.
struct LongDirectory {
  static constexpr int kFiles = 3000;
  SharedDirectory directory;
  std::unique_ptr<TreeStore> store = open_store(directory.path());
  TreeNodeRef root = store->root();
  TreeNodeRef below = make_directory(*store, *root, "below");
  std::multiset<std::string> expected{".", ".."};
  std::unique_ptr<TreeFile> opened;

  LongDirectory() {
    for (int i = 0; i < kFiles; ++i) {
      expected.insert(fmt::format("a name of some length, number {}", i));
    }
    for (const auto& name : expected) {
      if (name != "." && name != "..") make_file(*store, *below, name);
    }
    opened = must(store->open_directory(*below));
  }
};

TEST_CASE_METHOD(LongDirectory, "a listing is whole whatever its pages", "[trees]") {
  for (const std::size_t page : {1u, 7u, 1000u, 100000u}) {
    CHECK(names_of(list(*store, *opened, page)) == expected);
  }
}

TEST_CASE_METHOD(LongDirectory, "a listing: offsets are good in any order and on another handle",
                 "[trees]") {
  const auto entries = list(*store, *opened, 100000);
  const auto other = must(store->open_directory(*below));
  for (std::size_t i = entries.size() - 1; i > 0; i -= std::min<std::size_t>(i, 171)) {
    std::string next;
    must(store->read_directory(*other, entries[i - 1].next_offset, [&](const auto& entry) {
      next = entry.name;
      return false;
    }));
    REQUIRE(next == entries[i].name);
  }
}

TEST_CASE_METHOD(LongDirectory, "a listing: removing while listing misses nothing", "[trees]") {
  off_t offset = 0;
  std::size_t removed = 0;
  for (bool more = true; more;) {
    std::vector<std::string> names;
    must(store->read_directory(*opened, offset, [&](const auto& entry) {
      if (names.size() == 50) return false;
      names.push_back(entry.name);
      offset = entry.next_offset;
      return true;
    }));
    more = !names.empty();
    for (const auto& name : names) removed += store->unlink(*below, name, kMyself) ? 1u : 0u;
  }
  CHECK(removed == kFiles);
  must(store->remove_directory(*root, "below", kMyself));
}

TEST_CASE_METHOD(LongDirectory,
                 "a listing: what one page left is the next one's, not asked for again",
                 "[trees]") {
  off_t second = 0;
  must(store->read_directory(*opened, 0, [&](const auto& entry) {
    const bool is_first = second == 0;
    if (is_first) second = entry.next_offset;
    return is_first;
  }));
  for (const auto& name : expected) (void)store->unlink(*below, name, kMyself);
  std::size_t listed = 0;
  must(store->read_directory(*opened, second, [&](const auto&) { return ++listed > 0; }));
  CHECK(listed > 100);  // the names that were there when the kernel was asked
}

TEST_CASE_METHOD(LongDirectory, "a listing: from the start it is the directory of now", "[trees]") {
  make_file(*store, *below, "later");
  expected.insert("later");
  CHECK(names_of(list(*store, *opened, 10)) == expected);
}

TEST_CASE_METHOD(LongDirectory, "a listing: threads may list one handle", "[trees]") {
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i <= 4; ++i) {
    threads.emplace_back([&, i] {
      if (names_of(list(*store, *opened, i * 37)) != expected) ++wrong;
    });
  }
  threads.clear();
  CHECK(wrong == 0);
}

TEST_CASE("a listing tells types and numbers, and nothing of what is above", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const TreeNodeRef root = store->root();
  const auto sub = make_directory(*store, *root, "d");
  make_file(*store, *root, "f");
  must(store->make_link(*root, "l", "f", kMyself));
  must(store->make_node(*root, "p", S_IFIFO | 0600, 0, kMyself));
  must(store->make_node(*root, "s", S_IFSOCK | 0600, 0, kMyself));
  const auto opened = must(store->open_directory(*root));
  for (const auto& entry : list(*store, *opened, 3)) {
    INFO(entry.name);
    const auto found = must(store->lookup(*root, entry.name));
    CHECK(entry.type == found.node->type());
    CHECK(entry.inode == found.node->inode());
  }
  CHECK(code_of(store->open_directory(*must(store->lookup(*root, "f")).node)) == ENOTDIR);
  const auto file = must(store->open(*must(store->lookup(*root, "f")).node, 0, kMyself));
  CHECK(code_of(store->read_directory(*file, 0, [](const auto&) { return true; })) == ENOTDIR);
  CHECK(code_of(store->open(*sub, O_RDWR, kMyself)) == EISDIR);
}

TEST_CASE("extended attributes answer as the disk does", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const TreeNodeRef root = store->root();
  make_file(*store, *root, "file");
  make_directory(*store, *root, "directory");
  must(store->make_link(*root, "link", "file", kMyself));
  must(store->make_node(*root, "fifo", S_IFIFO | 0600, 0, kMyself));
  const std::string value(1000, '\0');
  for (const std::string name : {"file", "directory", "link", "fifo"}) {
    INFO(name);
    const auto node = must(store->lookup(*root, name)).node;
    const std::string path = directory.path(name);
    char buffer[2000];
    for (const char* key : {"user.a", "trusted.b", "nonsense", "system.posix_acl_access"}) {
      INFO(key);
      CHECK(code_of(store->get_xattr(*node, key)) ==
            plain(::lgetxattr(path.c_str(), key, buffer, 9)));
      CHECK(code_of(store->remove_xattr(*node, key, kMyself)) ==
            plain(::lremovexattr(path.c_str(), key)));
      const int expected = plain(::lsetxattr(path.c_str(), key, value.data(), value.size(), 0));
      if (expected == 0) REQUIRE(::lremovexattr(path.c_str(), key) == 0);
      REQUIRE(code_of(store->set_xattr(*node, key, value, 0, kMyself)) == expected);
      if (expected != 0) continue;
      CHECK(must(store->get_xattr(*node, key)) == value);
      CHECK(must(store->list_xattr(*node)).find(std::string(key) + '\0') != std::string::npos);
      CHECK(code_of(store->set_xattr(*node, key, "x", XATTR_CREATE, kMyself)) == EEXIST);
      must(store->remove_xattr(*node, key, kMyself));
      CHECK(code_of(store->set_xattr(*node, key, "x", XATTR_REPLACE, kMyself)) == ENODATA);
    }
  }
}

TEST_CASE("file capabilities of a file made here are told once it has some", "[trees]") {
  if (::geteuid() != 0) return;  // nobody else may give any
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const auto made = must(store->create(*store->root(), "a", O_RDWR, 0700, kMyself));
  constexpr const char* kKey = "security.capability";
  CHECK(code_of(store->get_xattr(*made.entry.node, kKey)) == ENODATA);
  const std::string value("\x01\0\0\x02\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  must(store->set_xattr(*made.entry.node, kKey, value, 0, kMyself));
  CHECK(must(store->get_xattr(*made.entry.node, kKey)) == value);
  must(store->remove_xattr(*made.entry.node, kKey, kMyself));
  CHECK(code_of(store->get_xattr(*made.entry.node, kKey)) == ENODATA);
}

TEST_CASE("statistics, access and fsync are the disk's", "[trees]") {
  SharedDirectory directory;
  const auto store = open_store(directory.path());
  const auto made = must(store->create(*store->root(), "a", O_RDWR, 0600, kMyself));
  struct statvfs expected{};
  REQUIRE(::statvfs(directory.path().c_str(), &expected) == 0);
  const auto statistics = must(store->statistics(*made.entry.node));
  CHECK(statistics.f_blocks == expected.f_blocks);
  CHECK(statistics.f_namemax == expected.f_namemax);
  must(store->fsync(*made.file, true));
  must(store->fsync(*must(store->open_directory(*store->root())), false));
  CHECK(code_of(store->access(*made.entry.node, R_OK | W_OK, kMyself)) == 0);
  CHECK(code_of(store->access(*made.entry.node, X_OK, kMyself)) == EACCES);
}

}  // namespace agentfs::test
