// SPDX-License-Identifier: MIT
// What the tables make cannot be made, moved or removed by anybody.
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

// Whether a refusal is one of the contract's, and says something.
template <class T>
void check_refused(const Result<T>& result) {
  REQUIRE_FALSE(result);
  INFO(errno_name(result.error().code) << ": " << result.error().message);
  CHECK(is_in_vocabulary(result.error().code));
  CHECK_FALSE(result.error().message.empty());
}

// Whether a file of the directory can be written to: an editor's names are let be beside it.
bool takes_texts(const DirectoryAt& at) {
  if (at.type == nullptr || at.only != nullptr) return false;
  return std::ranges::any_of(at.type->rows(), [](const vfs::RowInfo& row) {
    return row.kind == vfs::Kind::setting || row.kind == vfs::Kind::control ||
           row.kind == vfs::Kind::reply || row.kind == vfs::Kind::message;
  });
}

TEST_CASE("Read-only files cannot be opened for writing, cut or given to another") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  for (const ListedAt& one : world.listing()) {
    if (one.item.type != S_IFREG || (one.found.attributes.st_mode & 0222U) != 0) continue;
    INFO(one.path);
    for (const int flags : {O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND}) {
      const auto opened = one.found.node->open(world.request(), flags);
      check_refused(opened);
      CHECK(opened.error().code == EACCES);
    }
    SetAttributes cut{};
    cut.which = SetAttributes::size;
    check_refused(one.found.node->set_attributes(world.request(), nullptr, cut));
    check_refused(one.found.node->set_xattr(world.request(), "user.x", "1", 0));
  }
  CHECK(world.head() == head);
}

TEST_CASE("Directories of a table take no new directories, links or special files") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  for (const DirectoryAt& at : world.directories()) {
    if (at.takes_names) continue;
    INFO(at.path);
    const vfs::NodeRef node = world.get(at.path);
    const std::size_t before = world.items(*node).size();
    check_refused(node->make_directory(world.request(), "new", 0755));
    check_refused(node->make_directory(world.request(), "README", 0755));
    check_refused(node->make_node(world.request(), "fifo", S_IFIFO | 0644, 0));
    check_refused(node->make_node(world.request(), "device", S_IFCHR | 0644, 259));
    check_refused(node->make_link(world.request(), "shortcut", "README"));
    check_refused(node->link(world.request(), *world.get(below(at.path, "README")), "hard"));
    CHECK(world.items(*node).size() == before);
  }
  CHECK(world.head() == head);
}

TEST_CASE("What a table makes cannot be removed or renamed") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  const vfs::NodeRef root = world.get("/");
  for (const DirectoryAt& at : world.directories()) {
    const vfs::NodeRef node = world.get(at.path);
    for (const vfs::DirectoryItem& item : world.items(*node)) {
      INFO(below(at.path, item.name));
      check_refused(node->unlink(world.request(), item.name));
      check_refused(node->remove_directory(world.request(), item.name));
      check_refused(node->rename(world.request(), item.name, *node, "renamed", 0));
      check_refused(node->rename(world.request(), item.name, *root, "moved", 0));
      check_refused(node->rename(world.request(), item.name, *node, "README", 0x2));
      if (item.name != "README") {
        check_refused(node->rename(world.request(), "README", *node, item.name, 0));
      }
      CHECK(node->lookup(world.request(), item.name));
    }
    check_refused(node->unlink(world.request(), "no-such-name"));
    check_refused(node->rename(world.request(), "no-such-name", *node, "x", 0));
  }
  CHECK(world.head() == head);
}

TEST_CASE("A refused change is told to who asked for it") {
  TreeWorld world;
  for (const DirectoryAt& at : world.directories()) {
    if (at.takes_names) continue;
    INFO(at.path);
    const std::size_t before = world.errors().size();
    check_refused(world.get(at.path)->make_directory(world.request(), "new", 0755));
    REQUIRE(world.errors().size() == before + 1);
    CHECK(world.errors().back().contains(below(at.path, "new")));
  }
}

TEST_CASE("A new name beside rows that are written is a scratch file that changes nothing") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  std::size_t refusals = 0;
  for (const DirectoryAt& at : world.directories()) {
    if (at.takes_names) continue;
    INFO(at.path);
    const vfs::NodeRef node = world.get(at.path);
    const auto made = node->create(world.request(), "ctl.tmp.1", O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (!takes_texts(at)) {
      check_refused(made);
      ++refusals;
      continue;
    }
    REQUIRE(made);
    CHECK(write_once(world.request(), *made->opened.handle, "text\n") == 0);
    made->opened.handle->release();
    CHECK(world.read(below(at.path, "ctl.tmp.1")) == "text\n");
    CHECK(node->unlink(world.request(), "ctl.tmp.1"));
    CHECK(node->lookup(world.request(), "ctl.tmp.1").error().code == ENOENT);
  }
  CHECK(world.head() == head);
  CHECK(refusals > 0);
  CHECK(world.errors().size() == refusals);
}

TEST_CASE("A scratch file renamed onto a row is executed as if written there, or refused") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (!row.info().listed || row.info().kind == vfs::Kind::data) continue;
    INFO(row.path);
    const vfs::NodeRef from = world.get("/proc");  // /proc/clone is written
    const vfs::NodeRef node = world.get(row.directory.path);
    const auto made = from->create(world.request(), "x.tmp", O_WRONLY | O_CREAT, 0644);
    REQUIRE(made);
    const std::string garbage = "?!\xff\n";
    CHECK(write_once(world.request(), *made->opened.handle, garbage) == 0);
    made->opened.handle->release();
    const std::uint64_t head = world.head();
    const std::string name(row.info().name);
    check_refused(from->rename(world.request(), "x.tmp", *node, name, 0));
    CHECK(world.head() == head);
    CHECK(from->unlink(world.request(), "x.tmp"));
  }
}

}  // namespace
}  // namespace agentfs::test
