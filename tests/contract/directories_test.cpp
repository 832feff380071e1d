// SPDX-License-Identifier: MIT
// What each directory lists and finds: its rows, a README and its objects, and nothing else.
#include <algorithm>
#include <set>

#include "catch.h"
#include "kernel/syscalls/table.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

constexpr mode_t kOwnerWrites = 0200;  // for temporary files, in any directory

mode_t type_of(vfs::Kind kind) {
  switch (kind) {
    case vfs::Kind::link:
      return S_IFLNK;
    case vfs::Kind::directory:
    case vfs::Kind::collection:
    case vfs::Kind::documents:
    case vfs::Kind::data:
    case vfs::Kind::trees:
      return S_IFDIR;
    default:
      return S_IFREG;
  }
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::vector<std::string> expected_names(TreeWorld& world, const DirectoryAt& at) {
  std::vector<std::string> names{"README"};
  const auto object = at.type->find(world.request().caller(), at.key);
  REQUIRE(object);
  for (std::size_t row = 0; row < at.type->rows().size(); ++row) {
    const vfs::RowInfo& info = at.type->rows()[row];
    if (at.only == nullptr && info.listed && !info.name.starts_with('<')) {
      names.emplace_back(info.name);
    }
    const bool stands_here =
        at.only == nullptr ? info.listed && info.name.starts_with('<') : at.only == &info;
    if (info.kind != vfs::Kind::collection || !stands_here) continue;
    const auto objects = at.type->list(row, *object, world.request().caller());
    REQUIRE(objects);
    names.insert(names.end(), objects->begin(), objects->end());
  }
  std::ranges::sort(names);
  return names;
}

TEST_CASE("A directory lists its README, its listed rows and its objects, each once") {
  TreeWorld world;
  std::size_t objects = 0;
  for (const DirectoryAt& at : world.directories()) {
    INFO(at.path);
    std::vector<std::string> names;
    for (const vfs::DirectoryItem& item : world.items(*world.get(at.path))) {
      names.push_back(item.name);
    }
    std::ranges::sort(names);
    CHECK(names == expected_names(world, at));
    CHECK(std::ranges::adjacent_find(names) == names.end());
    objects += at.key.empty() ? 0 : 1;
  }
  CHECK(objects >= 8);  // four processes, two calls, two models
}

TEST_CASE("Every row is found by name, listed or not, with the type and mode that it says") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    INFO(row.path);
    const auto found = world.find(row.path);
    REQUIRE(found);
    const mode_t mode = found->attributes.st_mode;
    CHECK((mode & S_IFMT) == type_of(row.info().kind));
    CHECK(found->node->type() == type_of(row.info().kind));
    if (row.info().kind == vfs::Kind::data) continue;  // the disk's own
    const mode_t more = type_of(row.info().kind) == S_IFDIR ? kOwnerWrites : 0;
    CHECK((mode & ~more & 07777U) == (row.info().mode & ~more & 07777U));
    CHECK(found->node->path() == row.path);
  }
}

TEST_CASE("A listed name has one inode number: in the listing, in lookup, in stat, twice") {
  TreeWorld world;
  std::set<std::uint64_t> numbers;
  std::size_t documents = 0;
  for (const ListedAt& one : world.listing()) {
    INFO(one.path);
    CHECK(is_plain_name(one.item.name));
    CHECK(one.item.inode == one.found.attributes.st_ino);
    const auto attributes = one.found.node->attributes(world.request());
    REQUIRE(attributes);
    CHECK(attributes->attributes.st_ino == one.item.inode);
    CHECK(attributes->attributes.st_mode == one.found.attributes.st_mode);
    CHECK(attributes->attributes.st_size == one.found.attributes.st_size);
    CHECK((one.found.attributes.st_mode & S_IFMT) == one.item.type);
    const auto again = world.find(one.path);
    REQUIRE(again);
    CHECK(again->attributes.st_ino == one.item.inode);
    if (one.item.type == S_IFDIR) CHECK(again->node == one.found.node);
    CHECK(numbers.insert(one.item.inode).second);
    documents += one.path.starts_with("/sys/syscalls/") ? 1U : 0U;
  }
  CHECK(documents == all_syscalls().size() + 2);  // README and _all.tsv
}

TEST_CASE("A directory counts its directories, and is no file") {
  TreeWorld world;
  for (const DirectoryAt& at : world.directories()) {
    INFO(at.path);
    const auto found = world.find(at.path);
    REQUIRE(found);
    const auto items = world.items(*found->node);
    const auto directories = std::ranges::count(items, S_IFDIR, &vfs::DirectoryItem::type);
    CHECK(found->attributes.st_nlink == 2 + static_cast<nlink_t>(directories));
    const auto opened = found->node->open(world.request(), O_RDONLY);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == EISDIR);
  }
}

TEST_CASE("What no row makes is not there, under any name") {
  TreeWorld world;
  const std::string strange[] = {
      "no-such-name",        "<pid>", "<model>", "readme",   "-1", "007", "0", "a b", "\xff",
      std::string(255, 'x'), "ctl@",  "ctl@t",   "clone@a b"};
  for (const DirectoryAt& at : world.directories()) {
    const vfs::NodeRef node = world.get(at.path);
    for (const std::string& name : strange) {
      INFO(at.path << " " << text::shown(name));
      if (at.path == "/sys/users" && name == "0") continue;  // root
      const auto found = node->lookup(world.request(), name);
      REQUIRE_FALSE(found);
      CHECK(found.error().code == ENOENT);
      CHECK_FALSE(found.error().message.empty());
    }
  }
}

TEST_CASE("A reply file has a slot of its own for each tag, found and never listed") {
  TreeWorld world;
  std::size_t seen = 0;
  for (const RowAt& row : world.rows()) {
    if (row.info().kind == vfs::Kind::directory || row.info().kind == vfs::Kind::link) continue;
    INFO(row.path);
    const auto tagged = world.find(row.path + "@A-1_b.c");
    const bool is_reply = row.info().kind == vfs::Kind::reply;
    REQUIRE(tagged.has_value() == is_reply);
    if (!is_reply) continue;
    CHECK(tagged->attributes.st_ino != world.find(row.path)->attributes.st_ino);
    CHECK(tagged->attributes.st_mode == world.find(row.path)->attributes.st_mode);
    CHECK(world.read(row.path + "@A-1_b.c") == world.read(row.path));
    for (const vfs::DirectoryItem& item : world.items(*world.get(row.directory.path))) {
      CHECK_FALSE(item.name.contains('@'));
    }
    for (const char* bad : {"@", "@a b", "@a@b", "@\xff"}) {
      CHECK(world.find(row.path + bad).error().code == ENOENT);
    }
    ++seen;
  }
  CHECK(seen >= 4);  // clone, exec and the chat of each model
}

TEST_CASE("A file is no directory") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (!is_text(row.info().kind)) continue;
    INFO(row.path);
    const vfs::NodeRef node = world.get(row.path);
    CHECK(node->lookup(world.request(), "x").error().code == ENOTDIR);
    CHECK(node->open_directory(world.request()).error().code == ENOTDIR);
  }
}

TEST_CASE("A link leads to a name that is there") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (row.info().kind != vfs::Kind::link) continue;
    INFO(row.path);
    const auto target = world.get(row.path)->read_link(world.request());
    REQUIRE(target);
    CHECK(world.find(target->starts_with('/') ? *target : below(row.directory.path, *target)));
  }
}

}  // namespace
}  // namespace agentfs::test
